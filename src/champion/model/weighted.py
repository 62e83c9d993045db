"""Metrics as functions of row weights, as a resample of the rows changes only their weights."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from champion.model.bootstrap import Scores, Target, Weighted


class Ranking:
    """The weights of both classes at each distinct probability, from the highest down.

    Rows of equal probability count as in the mean of all their orders. Every metric is NaN when a class has no weight.
    """

    def __init__(self, zeros: Scores, ones: Scores) -> None:
        self.zeros, self.ones = zeros, ones
        # The weights of the rows down to each probability.
        self.caught = np.cumsum(ones)
        self.flagged = np.cumsum(zeros) + self.caught
        self.both_classes = 0 < self.caught[-1] < self.flagged[-1]

    def roc_auc(self) -> float:
        """ROC AUC as in scikit-learn: how often a positive row ranks above a negative one (Hanley & McNeil 1982)."""
        if not self.both_classes:
            return np.nan
        positives, negatives = self.caught[-1], self.flagged[-1] - self.caught[-1]
        lower = negatives - (self.flagged - self.caught) + self.zeros / 2
        return float((self.ones * lower).sum() / (positives * negatives))

    def ks(self) -> float:
        """The statistic of Kolmogorov and Smirnov for both classes' probabilities, as in SciPy's `ks_2samp`."""
        if not self.both_classes:
            return np.nan
        missed = self.flagged - self.caught
        return float(np.abs(self.caught / self.caught[-1] - missed / missed[-1]).max())

    def average_precision_lift(self) -> float:
        """Average precision as in scikit-learn, over the base rate, the average precision of a random order."""
        if not self.both_classes:
            return np.nan
        # The highest probabilities may have no weight at all.
        precision = self.caught / np.maximum(self.flagged, np.finfo(np.float64).tiny)
        positives, rows = self.caught[-1], self.flagged[-1]
        return float((self.ones * precision).sum() / positives * rows / positives)

    def lift(self, share: float) -> float:
        """The share of positives among the `share` of rows with the highest probabilities, over the base rate.

        It is read from the gains chart (Ling & Li 1998), where a part of a row counts in part.
        """
        if not self.both_classes:
            return np.nan
        wanted = share * self.flagged[-1]
        last = np.searchsorted(self.flagged, wanted)
        part = (self.flagged[last] - wanted) / (self.zeros[last] + self.ones[last])
        return float((self.caught[last] - part * self.ones[last]) / self.caught[-1] / share)


def ranking(target: Target, probability: Scores) -> Callable[[Scores], Ranking]:
    """The ranking as a function of the row weights. Rows are sorted only once, so each one takes only a few passes."""
    # If the rows are already sorted, their weights need no copy.
    order = slice(None) if (np.diff(probability) >= 0).all() else np.argsort(probability, kind="stable")
    level = np.concatenate([[0], np.cumsum(np.diff(probability[order]) > 0)])
    cell = 2 * (level[-1] - level) + target[order]
    size = 2 * (int(level[-1]) + 1)

    def rank(weight: Scores) -> Ranking:
        cells = np.bincount(cell, weight[order], minlength=size)
        return Ranking(*cells.reshape(-1, 2).T.astype(np.float64, order="C"))

    return rank


def weighted_roc_auc(target: Target, probability: Scores) -> Weighted:
    """ROC AUC of these predictions as a function of the row weights; NaN when a class has no weight."""
    rank = ranking(target, probability)
    return lambda weight: rank(weight).roc_auc()


def weighted_f1(target: Target, called: NDArray[np.bool_]) -> Weighted:
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


def weighted_brier(target: Target, probability: Scores) -> Weighted:
    """The Brier score, the mean squared error of the probabilities (Brier 1950), as a function of the row weights."""
    error = (target - probability) ** 2
    return lambda weight: float((weight * error).sum() / weight.sum())


def weighted_scores(
    target: Target, probability: Scores, called: NDArray[np.bool_], known_rate: float
) -> Callable[[Scores], dict[str, float]]:
    """The metrics of `metrics.score` that have intervals, as functions of the row weights.

    Precision is NaN, not 0, when no called row has a weight.
    """
    rank = ranking(target, probability)
    positive = target.astype(np.float64)
    error, reference = (positive - probability) ** 2, (positive - known_rate) ** 2
    flagged, right = called.astype(np.float64), called * positive

    def score(weight: Scores) -> dict[str, float]:
        ranked = rank(weight)
        worst, chosen = (weight * reference).sum(), (weight * flagged).sum()
        return {
            "roc_auc": ranked.roc_auc(),
            "brier_skill": float(1 - (weight * error).sum() / worst) if worst else np.nan,
            "average_precision_lift": ranked.average_precision_lift(),
            "precision": float((weight * right).sum() / chosen) if chosen else np.nan,
            "lift_10": ranked.lift(0.1),
        }

    return score
