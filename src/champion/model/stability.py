"""How much values or scores have moved: the population stability index, and the agreement of two models."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import spearmanr

from champion.model.bootstrap import Scores

BINS = 10
VALUES = 20
# A bin that is empty on one side would make the index infinite.
LOWEST_SHARE = 1e-4


def psi(reference: pl.Series, current: pl.Series) -> float:
    """The population stability index: the sum of (current - reference) * ln(current / reference) over shares of bins.

    Customary limits: below .1 nothing changed, above .25 much did (Siddiqi 2006, "Credit Risk Scorecards"). The bins of
    numbers are the tenths of the reference; those of other types are its 20 most frequent values and all others.
    Missing values have their own bin. NaN when a side has no rows.
    """
    if not (len(reference) and len(current)):
        return np.nan
    shares = _shares_of_numbers if reference.dtype.is_numeric() else _shares_of_values
    before, after = (np.maximum(side, LOWEST_SHARE) for side in shares(reference, current))
    return float(((after - before) * np.log(after / before)).sum())


def agreement(first: Scores, second: Scores) -> dict[str, float]:
    """How alike two models score the same rows: Spearman's rank correlation, NaN for a constant score, and the PSI."""
    constant = min(len(np.unique(first)), len(np.unique(second))) < 2
    return {
        "spearman": np.nan if constant else float(spearmanr(first, second).statistic),
        "psi": psi(pl.Series(first), pl.Series(second)),
    }


def _shares_of_numbers(reference: pl.Series, current: pl.Series) -> list[Scores]:
    sides = [side.cast(pl.Float64).fill_nan(None) for side in (reference, current)]
    edges = _edges(sides[0].drop_nulls().to_numpy())
    return [_shares(np.searchsorted(edges, side.drop_nulls().to_numpy()), len(edges) + 1, len(side)) for side in sides]


def _edges(values: Scores) -> Scores:
    """The upper ends of all bins but the last, each of which holds its end."""
    if not len(values):
        return values
    tenths = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    ends, counts = np.unique(tenths, return_counts=True)
    # A value of more than a tenth of the rows has a bin of its own, without the values below it.
    return np.unique(np.concatenate([ends, np.nextafter(ends[counts > 1], -np.inf)]))


def _shares_of_values(reference: pl.Series, current: pl.Series) -> list[Scores]:
    sides = [side.cast(pl.String).alias("value") for side in (reference, current)]
    counts = sides[0].drop_nulls().value_counts().sort(["count", "value"], descending=[True, False])
    bins = {value: position for position, value in enumerate(counts["value"].head(VALUES))}
    return [
        _shares(np.array([bins.get(value, len(bins)) for value in side.drop_nulls()], int), len(bins) + 1, len(side))
        for side in sides
    ]


def _shares(bins: NDArray[np.int64], count: int, rows: int) -> Scores:
    """The share of rows in each bin, and of those in none, which are missing."""
    return np.append(np.bincount(bins, minlength=count), rows - len(bins)) / rows
