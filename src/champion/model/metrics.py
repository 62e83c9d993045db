"""Metrics of predicted probabilities, with bootstrap intervals, for all rows and by segment."""

import warnings
from typing import Any

import numpy as np
import polars as pl
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from champion.model.bootstrap import Resamples, Scores, Target, bootstrap
from champion.model.calibration import log_odds
from champion.model.intervals import interval
from champion.model.model import is_positive
from champion.model.weighted import ranking, weighted_roc_auc, weighted_scores


def score(target: Target, probability: Scores, cut: float, known_rate: float) -> dict[str, float]:
    """Metrics of binary predictions; a row is flagged when its probability is at least `cut`.

    `known_rate` is the share of positives in training, which was known when the model was made. A metric is NaN when
    these rows do not define it, as ROC AUC for one class; precision is 0 when no row is flagged. Where no source is
    given, the definition is scikit-learn's.

    - `accepted_rate`: the share of positives among the rows that are not flagged.
    - `precision_lift`: precision / base rate, as flagging at random has the base rate.
    - `gini`: 2 ROC AUC - 1 (Hand & Till 2001).
    - `ks`: the largest distance between the distributions of both classes' probabilities, as in SciPy's `ks_2samp`
      (Kolmogorov-Smirnov).
    - `average_precision_lift`: average precision / base rate, as a random order has the base rate.
    - `lift_5`, `lift_10`, `lift_20`: the share of positives in the top 5, 10 and 20% / base rate (Ling & Li 1998).
    - `brier_skill`: 1 - Brier / reference Brier (Murphy 1973); the reference always says `known_rate`.
    - `brier_skill_hindsight`: the same; the reference says the base rate of these rows, which nobody knew.
    - `calibration_slope`, `calibration_intercept`: of the logistic regression of the target on the log odds of the
      probability (Cox 1958), best 1 and 0. Probabilities are clipped to at least 1e-6 from 0 and 1.
    - `observed_expected`, `observed_expected_known`: base rate / mean probability, and base rate / `known_rate`.
    """
    flagged = is_positive(probability, cut)
    precision = float(metrics.precision_score(target, flagged, zero_division=0))
    base_rate, mean_probability = float(target.mean()), float(probability.mean())
    both_classes = 0 < base_rate < 1
    roc_auc = float(metrics.roc_auc_score(target, probability)) if both_classes else np.nan
    average_precision = float(metrics.average_precision_score(target, probability)) if both_classes else np.nan
    brier = float(metrics.brier_score_loss(target, probability, pos_label=1))
    ranked = ranking(target, probability)(np.ones(len(target)))
    slope, intercept = _calibration_line(target, probability)
    return {
        "accuracy": float(metrics.accuracy_score(target, flagged)),
        "precision": precision,
        "precision_lift": _ratio(precision, base_rate),
        "recall": float(metrics.recall_score(target, flagged, zero_division=0)),
        "f1_weighted": float(metrics.f1_score(target, flagged, average="weighted", zero_division=0)),
        "flagged_share": float(flagged.mean()),
        "accepted_rate": mean(target[~flagged]),
        "roc_auc": roc_auc,
        "gini": 2 * roc_auc - 1,
        "ks": ranked.ks(),
        "average_precision": average_precision,
        "average_precision_lift": _ratio(average_precision, base_rate),
        **{f"lift_{percent}": ranked.lift(percent / 100) for percent in (5, 10, 20)},
        "brier": brier,
        "brier_skill": 1 - _ratio(brier, float(((target - known_rate) ** 2).mean())),
        "brier_skill_hindsight": 1 - _ratio(brier, base_rate * (1 - base_rate)),
        "log_loss": float(metrics.log_loss(target, probability, labels=[0, 1])),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "observed_expected": _ratio(base_rate, mean_probability),
        "observed_expected_known": _ratio(base_rate, known_rate),
        "base_rate": base_rate,
        "known_rate": known_rate,
        "mean_probability": mean_probability,
    }


def score_with_intervals(
    target: Target, probability: Scores, cut: float, known_rate: float, resamples: Resamples
) -> dict[str, float]:
    """`score`, plus the ends (`_low`, `_high`) of the 95% intervals of the metrics of `weighted_scores`."""
    scores = score(target, probability, cut, known_rate)
    # Sorted rows are faster to score again and again.
    order = np.argsort(probability, kind="stable")
    target, probability = target[order], probability[order]
    weighted = weighted_scores(target, probability, is_positive(probability, cut), known_rate)
    for name, draws in bootstrap(weighted, resamples.at(order)).items():
        scores[f"{name}_low"], scores[f"{name}_high"] = interval(draws)
    return scores


def score_segments(
    segment: pl.Series, target: Target, probability: Scores, cut: float, min_rows: int, resamples: Resamples
) -> list[dict[str, Any]]:
    """One row of metrics for each segment value that has at least `min_rows` rows, sorted by the value's text.

    `four_fifths` is the share of rows that are accepted (not flagged), over the highest such share of these values. A
    value below .8 is a sign of adverse impact (EEOC 1978, Uniform Guidelines, 29 CFR 1607.4 D).
    """
    order = np.argsort(probability, kind="stable")
    target, probability, resamples = target[order], probability[order], resamples.at(order)
    text = segment.cast(pl.String).fill_null("(missing)").alias("value")[order]
    counts = text.value_counts().filter(pl.col("count") >= min_rows).sort("value")
    rows = []
    for value in counts["value"]:
        inside = (text == value).to_numpy()
        rows.append(
            {"segment": segment.name, "value": value, "rows": int(inside.sum())}
            | _score_segment(target[inside], probability[inside], cut, resamples.at(inside))
        )
    most = max((1 - row["flagged_share"] for row in rows), default=np.nan)
    return [row | {"four_fifths": _ratio(1 - row["flagged_share"], most)} for row in rows]


def _score_segment(target: Target, probability: Scores, cut: float, resamples: Resamples) -> dict[str, float]:
    flagged = is_positive(probability, cut)
    weighted = weighted_roc_auc(target, probability)
    low, high = interval(bootstrap(lambda weight: {"roc_auc": weighted(weight)}, resamples)["roc_auc"])
    return {
        "base_rate": float(target.mean()),
        "roc_auc": weighted(np.ones(len(target))),
        "roc_auc_low": low,
        "roc_auc_high": high,
        "flagged_share": float(flagged.mean()),
        "true_positive_rate": mean(flagged[target == 1]),
        "false_positive_rate": mean(flagged[target == 0]),
        "observed_expected": _ratio(float(target.mean()), float(probability.mean())),
    }


def _calibration_line(target: Target, probability: Scores) -> tuple[float, float]:
    """Slope and intercept of the target's log odds on those of the probability, NaN if no line fits best."""
    odds = log_odds(probability)
    zeros, ones = odds[target == 0], odds[target == 1]
    # Steeper lines fit ever better unless the classes overlap (Albert & Anderson 1984).
    if not (len(zeros) and len(ones)) or zeros.max() <= ones.min() or ones.max() <= zeros.min():
        return np.nan, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            line = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8).fit(odds[:, None], target)
        except Warning:
            # It did not converge, as the classes hardly overlap.
            return np.nan, np.nan
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def mean(values: np.ndarray) -> float:
    """The mean of the values; NaN when there are none."""
    return float(values.mean()) if len(values) else np.nan


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else np.nan
