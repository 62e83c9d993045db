"""How far a single feature alone separates the classes."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

BINS = 50


def separation(feature: pl.Series, target: pl.Series) -> float:
    """ROC AUC, in [0.5, 1], of ranking rows by the class share of their value's bin; 0.5 when one class is missing.

    Numbers are cut into at most 50 quantile bins, so a relation of any shape counts, and so does being missing. Each
    half of the rows (even and odd) is ranked by the shares of the other, or values seen once would look like a leak.
    """
    bins = _binned(feature)
    rows = pl.DataFrame({"bin": bins, "target": target.cast(pl.Float64)}).with_row_index("row")
    rows = rows.with_columns(half=pl.col("row") % 2)
    shares = rows.group_by("bin", "half").agg(share=pl.col("target").mean()).with_columns(half=1 - pl.col("half"))
    base = rows["target"].mean()
    score = rows.join(shares, on=["bin", "half"], how="left", nulls_equal=True, maintain_order="left")[
        "share"
    ].fill_null(base)
    auc = _roc_auc(rows["target"].to_numpy(), score.to_numpy())
    return max(auc, 1 - auc)


def _binned(feature: pl.Series) -> pl.Series:
    if not feature.dtype.is_numeric() or feature.n_unique() <= BINS:
        return feature
    values = feature.drop_nulls().to_numpy().astype(float)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return feature.cut(edges.tolist()).to_physical()


def _roc_auc(target: NDArray[np.float64], score: NDArray[np.float64]) -> float:
    """Mann-Whitney's statistic with mid-ranks for ties."""
    ranks = pl.Series(score).rank("average").to_numpy()
    positives = int(target.sum())
    negatives = len(target) - positives
    if not positives or not negatives:
        return 0.5
    return float((ranks[target == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))
