"""Held-out metrics of predicted probabilities, with bootstrap intervals, for all rows and by segment."""

from typing import Any

import numpy as np
import polars as pl
from sklearn import metrics

from champion.model.bootstrap import Scores, Target, bootstrap, interval
from champion.model.model import is_positive


def score(target: Target, probability: Scores, threshold: float) -> dict[str, float]:
    """Metrics of binary predictions; a row is called positive when its probability is at least `threshold`.

    `brier_skill` is 1 - Brier / reference Brier (Murphy 1973). The reference predicts the base rate of these rows, the
    best constant. `average_precision_lift` is average precision / base rate, as a random order has the base rate as its
    average precision. Ranking metrics are NaN when the rows hold only one class.
    """
    called = is_positive(probability, threshold)
    base_rate = float(target.mean())
    both_classes = 0 < base_rate < 1
    brier = float(metrics.brier_score_loss(target, probability, pos_label=1))
    precision = float(metrics.average_precision_score(target, probability)) if both_classes else np.nan
    return {
        "accuracy": float(metrics.accuracy_score(target, called)),
        "precision": float(metrics.precision_score(target, called, zero_division=0)),
        "recall": float(metrics.recall_score(target, called, zero_division=0)),
        "f1_weighted": float(metrics.f1_score(target, called, average="weighted", zero_division=0)),
        "roc_auc": float(metrics.roc_auc_score(target, probability)) if both_classes else np.nan,
        "average_precision": precision,
        "average_precision_lift": precision / base_rate if both_classes else np.nan,
        "brier": brier,
        "brier_skill": 1 - brier / (base_rate * (1 - base_rate)) if both_classes else np.nan,
        "log_loss": float(metrics.log_loss(target, probability, labels=[0, 1])),
        "base_rate": base_rate,
        "mean_probability": float(probability.mean()),
    }


def score_with_intervals(
    target: Target, probability: Scores, threshold: float, samples: int, seed: int
) -> dict[str, float]:
    """`score`, plus the ends (`_low`, `_high`) of the 95% intervals of ROC AUC and Brier skill."""
    scores = score(target, probability, threshold)
    for name, draws in bootstrap(target, probability, samples, seed).items():
        scores[f"{name}_low"], scores[f"{name}_high"] = interval(draws)
    return scores


def score_segments(
    segment: pl.Series, target: Target, probability: Scores, threshold: float, min_rows: int, samples: int, seed: int
) -> list[dict[str, Any]]:
    """One row of metrics for each segment value that has at least `min_rows` rows, sorted by the value's text."""
    text = segment.cast(pl.String).fill_null("(missing)").alias("value")
    counts = text.value_counts().filter(pl.col("count") >= min_rows).sort("value")
    rows = []
    for value in counts["value"]:
        inside = (text == value).to_numpy()
        scores = score_with_intervals(target[inside], probability[inside], threshold, samples, seed)
        rows.append({"segment": segment.name, "value": value, "rows": int(inside.sum()), **scores})
    return rows
