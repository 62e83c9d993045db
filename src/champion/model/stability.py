"""How much values or scores have moved: the population stability index, and the agreement of two models."""

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from champion.model.bootstrap import Scores
from champion.model.distribution import ColumnReference


def psi(reference: pl.Series, current: pl.Series) -> float:
    """The population stability index of `current` in the bins of `reference`; NaN when a side has no rows."""
    return ColumnReference.of(reference).psi(current)


def agreement(first: Scores, second: Scores) -> dict[str, float]:
    """How alike two models score the same rows: Spearman's rank correlation and the PSI.

    The correlation of one and the same scores is 1, even if they are constant. Else it is NaN if a score is constant.
    """
    same = len(first) > 0 and np.array_equal(first, second)
    constant = min(len(np.unique(first)), len(np.unique(second))) < 2
    spearman = 1.0 if same else np.nan if constant else float(spearmanr(first, second).statistic)
    return {"spearman": spearman, "psi": psi(pl.Series(first), pl.Series(second))}
