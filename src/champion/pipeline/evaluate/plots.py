"""Plot data of the test's predictions for `dvc plots`, small enough for git."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from champion.model.bootstrap import Scores, Target
from champion.model.model import is_positive

CURVE_POINTS = 200
BINS = 20


def roc(target: Target, probability: Scores) -> pl.DataFrame:
    """The ROC curve: columns `false_positive_rate` and `true_positive_rate`, at most 200 points."""
    false_positive, true_positive, _ = roc_curve(target, probability)
    return _thinned(pl.DataFrame({"false_positive_rate": false_positive, "true_positive_rate": true_positive}))


def precision_recall(target: Target, probability: Scores) -> pl.DataFrame:
    """The precision-recall curve: columns `recall` and `precision`, at most 200 points."""
    precision, recall, _ = precision_recall_curve(target, probability)
    return _thinned(pl.DataFrame({"recall": recall[::-1], "precision": precision[::-1]}))


def calibration(target: Target, probability: Scores) -> pl.DataFrame:
    """Mean probability and observed share in 20 bins with equal numbers of rows (fewer bins if probabilities tie)."""
    bins = pd.qcut(probability, BINS, labels=False, duplicates="drop")
    rows = pl.DataFrame({"bin": bins, "probability": probability, "target": target.astype(float)})
    return (
        rows.group_by("bin")
        .agg(mean_probability=pl.col("probability").mean(), observed_share=pl.col("target").mean(), rows=pl.len())
        .sort("bin")
        .drop("bin")
    )


def confusion(target: Target, probability: Scores, cut: float) -> pl.DataFrame:
    """Number of rows by `actual` and `predicted` class: always all four cells."""
    called = is_positive(probability, cut).astype(int)
    cells = [(a, p, int(((target == a) & (called == p)).sum())) for a in (0, 1) for p in (0, 1)]
    return pl.DataFrame(cells, schema=["actual", "predicted", "rows"], orient="row")


def score_distribution(target: Target, probability: Scores) -> pl.DataFrame:
    """For each class, the share of its rows in each of 20 probability bins of equal width."""
    edges = np.linspace(0, 1, BINS + 1)
    return pl.DataFrame(
        {"probability": edges[:-1] + 0.5 / BINS}
        | {
            f"class_{value}": np.histogram(probability[target == value], edges)[0]
            / max(1, int((target == value).sum()))
            for value in (0, 1)
        }
    )


def importance(names: list[str], drops: NDArray[np.float64]) -> pl.DataFrame:
    """Permutation importance: the mean loss of ROC AUC when a feature is shuffled, largest first.

    `drops` has the shape (features, repeats).
    """
    table = pl.DataFrame({"feature": names, "importance": drops.mean(axis=1), "std": drops.std(axis=1)})
    return table.sort(["importance", "feature"], descending=[True, False])


def rehearsals(described: list[dict[str, Any]]) -> pl.DataFrame:
    """The rehearsals and the test: columns `rehearsal`, `roc_auc`, `brier_skill`, `predicted_rate`, `observed_rate`."""
    columns = ("rehearsal", "roc_auc", "brier_skill", "mean_probability", "base_rate")
    table = pl.DataFrame({name: [one[name] for one in described] for name in columns})
    return table.rename({"mean_probability": "predicted_rate", "base_rate": "observed_rate"})


def _thinned(curve: pl.DataFrame) -> pl.DataFrame:
    if curve.height <= CURVE_POINTS:
        return curve
    return curve[np.unique(np.linspace(0, curve.height - 1, CURVE_POINTS).round().astype(int))]
