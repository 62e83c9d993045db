"""Metrics as functions of the rows' weights, so that a resample costs a few passes over the rows."""

from collections.abc import Callable

import numpy as np

from champion.model.bootstrap import Scores, Target, interval

Weighted = Callable[[Scores], float]


def weighted_roc_auc(target: Target, probability: Scores) -> Weighted:
    """ROC AUC of these predictions as a function of the rows' weights; NaN when one class weighs nothing."""
    order = np.argsort(probability, kind="stable")
    positive = target[order].astype(np.float64)
    # Rows of equal probability form one group: a pair within it counts half.
    group = np.concatenate([[0], np.cumsum(np.diff(probability[order]) > 0)])

    def score(weight: Scores) -> float:
        sorted_weight = weight[order]
        ones = np.bincount(group, sorted_weight * positive)
        zeros = np.bincount(group, sorted_weight * (1 - positive))
        pairs = ones.sum() * zeros.sum()
        below = np.cumsum(zeros) - zeros
        return float((ones * (below + zeros / 2)).sum() / pairs) if pairs else np.nan

    return score


def weighted_f1(target: Target, called: np.ndarray) -> Weighted:
    """The F1 of both classes, averaged by how often each occurs, as a function of the rows' weights."""
    cell = 2 * target.astype(np.int64) + called

    def score(weight: Scores) -> float:
        true_zero, false_one, false_zero, true_one = np.bincount(cell, weight, minlength=4)
        wrong = false_one + false_zero
        total = 0.0
        for right, actual in ((true_zero, true_zero + false_one), (true_one, true_one + false_zero)):
            total += actual * (2 * right / (2 * right + wrong) if right else 0.0)
        return float(total / weight.sum())

    return score


def paired_interval(rows: int, first: Weighted, second: Weighted, samples: int, seed: int) -> tuple[float, float]:
    """The central 95% of `second - first` over resamples of the rows, each of them the same for both.

    A resample of one class counts for neither; NaN when none counts.
    """
    rng = np.random.default_rng(seed)
    gains = np.full(samples, np.nan)
    for sample in range(samples):
        weight = np.bincount(rng.integers(0, rows, rows), minlength=rows).astype(np.float64)
        gains[sample] = second(weight) - first(weight)
    return interval(gains)
