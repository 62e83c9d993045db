"""Metrics as functions of row weights, and their 95% bootstrap intervals."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Target = NDArray[np.int8]
Weighted = Callable[[Scores], float]


def weighted_roc_auc(target: Target, probability: Scores) -> Weighted:
    """ROC AUC of these predictions as a function of the row weights; NaN when a class has no weight.

    Rows are sorted only once, so each score takes only a few passes over the rows.
    """
    # If the rows are already sorted, their weights need no copy.
    order = slice(None) if (np.diff(probability) >= 0).all() else np.argsort(probability, kind="stable")
    positive = target[order].astype(np.float64)
    # Rows of equal probability form one group; a pair inside a group counts half.
    group = np.concatenate([[0], np.cumsum(np.diff(probability[order]) > 0)])

    def score(weight: Scores) -> float:
        in_order = weight[order]
        ones = np.bincount(group, in_order * positive)
        zeros = np.bincount(group, in_order) - ones
        pairs = ones.sum() * zeros.sum()
        return float((ones * (np.cumsum(zeros) - zeros / 2)).sum() / pairs) if pairs else np.nan

    return score


def weighted_brier_skill(target: Target, probability: Scores) -> Weighted:
    """Brier skill against the rows' base rate, as a function of the row weights; NaN when a class has no weight."""
    positive = target.astype(np.float64)
    error = (positive - probability) ** 2

    def score(weight: Scores) -> float:
        total = weight.sum()
        rate = (weight * positive).sum() / total
        return float(1 - (weight * error).sum() / total / (rate * (1 - rate))) if 0 < rate < 1 else np.nan

    return score


def weighted_f1(target: Target, called: np.ndarray) -> Weighted:
    """F1 of both classes, averaged by their frequencies, as a function of the row weights."""
    cell = 2 * target.astype(np.int64) + called

    def score(weight: Scores) -> float:
        true_zero, false_one, false_zero, true_one = np.bincount(cell, weight, minlength=4)
        wrong = false_one + false_zero
        total = 0.0
        for right, actual in ((true_zero, true_zero + false_one), (true_one, true_one + false_zero)):
            total += actual * (2 * right / (2 * right + wrong) if right else 0.0)
        return float(total / weight.sum())

    return score


def bootstrap(target: Target, probability: Scores, samples: int, seed: int) -> dict[str, Scores]:
    """ROC AUC and Brier skill of `samples` resamples of the rows with replacement, each of shape (samples,).

    A resample with only one class gives NaN.
    """
    order = np.argsort(probability, kind="stable")
    rows = target[order], probability[order]
    metrics = {"roc_auc": weighted_roc_auc(*rows), "brier_skill": weighted_brier_skill(*rows)}
    draws = [[score(weight) for score in metrics.values()] for weight in _resamples(len(target), samples, seed)]
    return dict(zip(metrics, np.array(draws).T, strict=True))


def paired_interval(rows: int, first: Weighted, second: Weighted, samples: int, seed: int) -> tuple[float, float]:
    """The central 95% of `second - first` over resamples of the rows; both metrics get the same resamples.

    Resamples with only one class are ignored. The ends are NaN when no resample is left.
    """
    return interval(np.array([second(weight) - first(weight) for weight in _resamples(rows, samples, seed)]))


def interval(draws: Scores) -> tuple[float, float]:
    """The central 95% of bootstrap draws (percentile method); NaN when no draw is finite."""
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return np.nan, np.nan
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def _resamples(rows: int, samples: int, seed: int) -> Iterator[Scores]:
    """How often each row is in each resample."""
    rng = np.random.default_rng(seed)
    for _ in range(samples):
        yield np.bincount(rng.integers(0, rows, rows), minlength=rows).astype(np.float64)
