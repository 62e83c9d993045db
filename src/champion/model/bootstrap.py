"""Resamples of the rows with replacement: how far a held-out metric could be from what was measured."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Target = NDArray[np.int8]


def bootstrap(target: Target, probability: Scores, samples: int, seed: int) -> dict[str, Scores]:
    """ROC AUC and Brier skill of `samples` resamples of the rows with replacement, shape (samples,) each.

    A resample without both classes gives NaN. Rows are sorted once and each resample is a weight per row, so that one
    costs a few passes over the rows.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(probability, kind="stable")
    target, probability = target[order].astype(np.float64), probability[order]
    # Rows of equal probability form one group: a pair within it counts half.
    group = np.concatenate([[0], np.cumsum(np.diff(probability) > 0)])
    error = (target - probability) ** 2
    auc, skill = np.full(samples, np.nan), np.full(samples, np.nan)
    for sample in range(samples):
        weight = np.bincount(rng.integers(0, len(target), len(target)), minlength=len(target)).astype(np.float64)
        positive = np.bincount(group, weight * target)
        negative = np.bincount(group, weight * (1 - target))
        positives, negatives = positive.sum(), negative.sum()
        if positives and negatives:
            below = np.cumsum(negative) - negative
            auc[sample] = (positive * (below + negative / 2)).sum() / (positives * negatives)
            rate = positives / len(target)
            skill[sample] = 1 - (weight * error).sum() / len(target) / (rate * (1 - rate))
    return {"roc_auc": auc, "brier_skill": skill}


def interval(draws: Scores) -> tuple[float, float]:
    """The central 95% of bootstrap draws (percentile method); NaN when no draw is finite."""
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return np.nan, np.nan
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)
