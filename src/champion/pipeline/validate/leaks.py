"""How well a single feature separates the classes."""

import numpy as np
import polars as pl

BINS = 50


def separation(feature: pl.Series, target: pl.Series) -> float:
    """ROC AUC, in [0.5, 1], if rows are ranked by the share of positives in their bin; 0.5 if one class is missing.

    Numbers are cut into at most 50 quantile bins, so a relation of any shape is found; missing is a bin too. Each half
    of the rows is ranked by the shares in the other half; otherwise values that occur once would look like a leak. The
    halves are random, because rows may be sorted by class, and always the same.
    """
    half = np.random.default_rng(0).permutation(len(target)) % 2 == 0
    rows = pl.DataFrame({"bin": _binned(feature), "half": half, "target": target})
    counts = rows.group_by("bin").agg(
        first=pl.col("half").sum(),
        first_positive=(pl.col("half") & (pl.col("target") == 1)).sum(),
        second=(~pl.col("half")).sum(),
        second_positive=(~pl.col("half") & (pl.col("target") == 1)).sum(),
    )
    auc = (_ranked(counts, "first", by="second") + _ranked(counts, "second", by="first")) / 2
    return max(auc, 1 - auc)


def _binned(feature: pl.Series) -> pl.Series:
    if not feature.dtype.is_numeric() or feature.n_unique() <= BINS:
        return feature
    values = feature.cast(pl.Float64).to_numpy()
    missing = np.isnan(values)
    edges = np.unique(np.quantile(values[~missing], np.linspace(0, 1, BINS + 1)[1:-1]))
    return pl.Series(np.where(missing, -1, np.searchsorted(edges, values)))


def _ranked(counts: pl.DataFrame, half: str, *, by: str) -> float:
    """ROC AUC of one half, ranked by the share of positives that the other half has in each bin; ties count half."""
    base = float(counts[f"{by}_positive"].sum()) / max(1, int(counts[by].sum()))
    ranks = (
        counts.with_columns(share=(pl.col(f"{by}_positive") / pl.col(by)).fill_nan(base))
        .group_by("share")
        .agg(positives=pl.col(f"{half}_positive").sum(), rows=pl.col(half).sum())
        .sort("share")
    )
    positives = ranks["positives"].to_numpy().astype(float)
    negatives = ranks["rows"].to_numpy() - positives
    if not positives.sum() or not negatives.sum():
        return 0.5
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum()))
