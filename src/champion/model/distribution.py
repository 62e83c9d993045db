"""What later values of a column are compared with: the shares of its bins, and its quantiles."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from champion.model.bootstrap import Scores

Counts = NDArray[np.int64]

BINS = 10
VALUES = 20
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
# A bin that is empty on one side would make the index infinite.
LOWEST_SHARE = 1e-4


@dataclass(frozen=True)
class ColumnReference:
    """How the values of one column are distributed, and the population stability index of later ones.

    Numbers have the tenths as bins: `edges` are the upper ends of all bins but the last, and each bin holds its end.
    Other types have no `edges` but `values`, the 20 most frequent ones (equally frequent ones by alphabet), and one
    bin for all others. `shares` are the shares of rows in each bin, then of rows whose value is missing; it is empty
    without rows. `quantiles` are values of the column, None if all are missing. An infinite number is missing, as for a
    model. If `decimals` is set, numbers are rounded first, here and in the values that are compared.
    """

    edges: tuple[float, ...] | None
    values: tuple[str, ...] | None
    shares: tuple[float, ...]
    quantiles: Mapping[str, float | None] | None
    decimals: int | None = None

    @classmethod
    def of(cls, column: pl.Series, decimals: int | None = None) -> Self:
        """The reference that these values are."""
        if not column.dtype.is_numeric():
            texts = _texts(column)
            counts = texts.drop_nulls().value_counts().sort(["count", "value"], descending=[True, False])
            values = tuple(counts["value"].head(VALUES))
            return cls(None, values, _shares(_count_texts(texts, values)), None)
        numbers = _numbers(column, decimals)
        known = numbers.drop_nulls().to_numpy()
        edges = _edges(known)
        shares = _shares(_count_numbers(numbers, edges))
        found = np.quantile(known, QUANTILES, method="inverted_cdf").tolist() if len(known) else [None] * len(QUANTILES)
        return cls(edges, None, shares, dict(zip(map(str, QUANTILES), found, strict=True)), decimals)

    @classmethod
    def parse(cls, described: Mapping[str, Any]) -> Self:
        """The reference that `describe` wrote."""
        edges, values = (described.get(key) for key in ("edges", "values"))
        return cls(
            None if edges is None else tuple(edges),
            None if values is None else tuple(values),
            (*described["shares"], described["missing"]),
            described.get("quantiles"),
            described.get("decimals"),
        )

    def describe(self) -> dict[str, Any]:
        """The reference as JSON. It needs rows, and all digits of its floats: a value may be a bin's very end."""
        *shares, missing = self.shares
        told = {"edges": self.edges, "values": self.values, "quantiles": self.quantiles, "decimals": self.decimals}
        return {"missing": missing, "shares": shares} | {key: one for key, one in told.items() if one is not None}

    def count(self, column: pl.Series) -> Counts:
        """How many rows are in each bin, then how many are missing. The counts of a column's parts can be added."""
        if self.edges is not None:
            return _count_numbers(_numbers(column, self.decimals), self.edges)
        return _count_texts(column, self.values or ())

    def psi(self, current: pl.Series) -> float:
        """The population stability index of these rows, as `psi_of` has it."""
        return self.psi_of(self.count(current))

    def psi_of(self, counts: Counts) -> float:
        """The population stability index: the sum of (current - reference) * ln(current / reference) over the shares.

        Customary limits: below .1 nothing changed, above .25 much did (Siddiqi 2006, "Credit Risk Scorecards"). NaN
        when a side has no rows.
        """
        if not (self.shares and counts.any()):
            return np.nan
        before, after = (np.maximum(side, LOWEST_SHARE) for side in (self.shares, _shares(counts)))
        return float(((after - before) * np.log(after / before)).sum())


def _numbers(column: pl.Series, decimals: int | None) -> pl.Series:
    numbers = column.cast(pl.Float64)
    finite = pl.select(pl.when(numbers.is_finite()).then(numbers)).to_series()
    return finite if decimals is None else finite.round(decimals)


def _texts(column: pl.Series) -> pl.Series:
    return column.cast(pl.String).alias("value")


def _edges(values: Scores) -> tuple[float, ...]:
    if not len(values):
        return ()
    tenths = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    ends, counts = np.unique(tenths, return_counts=True)
    # A value of more than a tenth of the rows has a bin of its own, without the values below it.
    edges = np.unique(np.concatenate([ends, np.nextafter(ends[counts > 1], -np.inf)]))
    return tuple(edges[np.isfinite(edges)].tolist())


def _count_numbers(numbers: pl.Series, edges: tuple[float, ...]) -> Counts:
    known = numbers.drop_nulls().to_numpy()
    # Of so few edges, to compare with each is faster than a search for each number.
    up_to = [np.count_nonzero(known <= edge) for edge in edges]
    return np.diff([0, *up_to, len(known), len(numbers)])


def _count_texts(column: pl.Series, values: tuple[str, ...]) -> Counts:
    found = column.alias("value").value_counts(name="count").drop_nulls("value")
    bins = {value: position for position, value in enumerate(values)}
    # Only the distinct values are looked up, and become texts.
    places = _texts(found["value"]).replace_strict(bins, default=len(bins), return_dtype=pl.Int64)
    counts = np.zeros(len(bins) + 2, np.int64)
    np.add.at(counts, places.to_numpy(), found["count"].to_numpy())
    counts[-1] = column.null_count()
    return counts


def _shares(counts: Counts) -> tuple[float, ...]:
    """The share of rows in each bin, and of those in none, which are missing; empty without rows."""
    rows = counts.sum()
    return tuple((counts / rows).tolist()) if rows else ()
