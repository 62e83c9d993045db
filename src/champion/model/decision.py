"""Which rows to flag: the share of rows, the cut that flags it, and what the decision is worth."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from champion.core.strict_yaml import Section
from champion.model.bootstrap import Scores, Target
from champion.model.weighted import ranking

DecisionMetric = Literal["accuracy", "balanced_accuracy", "f1", "f1_weighted"]
SHARES = np.arange(101) / 100


class Costs(Section):
    """What one row costs, by its class and by whether it is flagged (positive). A gain is a negative cost."""

    true_positive: float = 0.0
    false_positive: float = 0.0
    true_negative: float = 0.0
    false_negative: float = 0.0

    @model_validator(mode="after")
    def _depend_on_the_decision(self) -> Self:
        if (self.true_positive, self.true_negative) == (self.false_negative, self.false_positive):
            raise ValueError("a flagged row costs the same as an accepted one, so there is nothing to decide")
        return self


class Decision(Section):
    """When a row is flagged: a share of the rows, a probability, or what costs least or scores best in rehearsals."""

    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    probability: Annotated[float, Field(gt=0, lt=1)] | None = None
    costs: Costs | None = None
    maximise: DecisionMetric | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError("give one of `share`, `probability`, `costs` and `maximise`")
        return self


class Counts(NamedTuple):
    """The confusion counts of one or more decisions, each of shape (decisions,)."""

    true_positive: Scores
    false_positive: Scores
    true_negative: Scores
    false_negative: Scores


def lowest_cut(scores: Scores, share: float) -> float:
    """The lowest of these scores that flags at most `share` of them, where a row is flagged from the cut up.

    If even the highest score flags more, it is a value just above that score, which flags nobody (it can be just above
    1). Raises `ValueError` when there are no scores.
    """
    levels, counts = np.unique(scores, return_counts=True)
    allowed = levels[np.cumsum(counts[::-1])[::-1] / len(scores) <= share]
    return float(allowed[0] if len(allowed) else np.nextafter(levels.max(), np.inf))


def best_share(folds: Sequence[tuple[Target, Scores]], goal: Costs | DecisionMetric) -> float:
    """The share of rows to flag with the lowest expected cost, or the highest metric, as a mean of the folds.

    Each fold has targets and probabilities. The candidates are 0%, 1%, ... 100%, each with the fold's `lowest_cut`. The
    smallest share wins a tie.
    """
    worth = np.mean([_worth(_counts_by_share(*fold), goal) for fold in folds], axis=0)
    # Equal values can differ in their last digits, as they are sums of other numbers.
    return float(SHARES[np.isclose(worth, worth.max(), rtol=1e-12, atol=0)][0])


def describe_decision(target: Target, flagged: NDArray[np.bool_], costs: Costs | None) -> list[dict[str, Any]]:
    """What the model's decision does, beside flagging nobody and everybody.

    `accepted_rate` is the share of positives among the rows that are not flagged. A share of no rows is NaN.
    `expected_cost` is the mean cost of a row, None without costs.
    """
    policies = {"model": flagged, "flag nobody": np.zeros_like(flagged), "flag everybody": np.ones_like(flagged)}
    return [{"policy": name} | _describe(target, rows, costs) for name, rows in policies.items()]


def _describe(target: Target, flagged: NDArray[np.bool_], costs: Costs | None) -> dict[str, Any]:
    caught = np.array([target[flagged].sum()], np.float64)
    counts = _counts(target, np.array([flagged.sum()], np.float64), caught)
    right, wrong, _, missed = (float(count[0]) for count in counts)
    rows = len(target)
    return {
        "flagged_share": (right + wrong) / rows,
        "precision": right / (right + wrong) if right + wrong else np.nan,
        "recall": right / (right + missed) if right + missed else np.nan,
        "accepted_rate": missed / (rows - right - wrong) if rows > right + wrong else np.nan,
        "expected_cost": float(_expected_cost(counts, costs)[0]) if costs else None,
    }


def _counts_by_share(target: Target, probability: Scores) -> Counts:
    ranked = ranking(target, probability)(np.ones(len(target)))
    levels = np.searchsorted(ranked.flagged / len(target), SHARES, side="right")
    return _counts(target, *(np.append(0.0, down_to)[levels] for down_to in (ranked.flagged, ranked.caught)))


def _counts(target: Target, flagged: Scores, caught: Scores) -> Counts:
    positives = float(target.sum())
    wrong = flagged - caught
    return Counts(caught, wrong, len(target) - positives - wrong, positives - caught)


def _worth(counts: Counts, goal: Costs | DecisionMetric) -> Scores:
    """The metric as scikit-learn defines it, or the expected cost with a minus."""
    right, wrong, left, missed = counts
    positives, negatives = right + missed, left + wrong
    match goal:
        case Costs():
            return -_expected_cost(counts, goal)
        case "accuracy":
            return (right + left) / (positives + negatives)
        case "balanced_accuracy":
            return (_ratio(right, positives) + _ratio(left, negatives)) / 2
        case "f1":
            return _ratio(2 * right, 2 * right + wrong + missed)
        case "f1_weighted":
            ones, zeros = (_ratio(2 * side, 2 * side + wrong + missed) for side in (right, left))
            return (positives * ones + negatives * zeros) / (positives + negatives)


def _expected_cost(counts: Counts, costs: Costs) -> Scores:
    total: Scores = sum(count * getattr(costs, kind) for kind, count in counts._asdict().items()) / sum(counts)
    return total


def _ratio(numerator: Scores, denominator: Scores) -> Scores:
    """The ratio, 0 where the denominator is 0."""
    return numerator / np.where(denominator == 0, 1, denominator)
