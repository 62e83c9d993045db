"""Estimators as users write them in own/."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier


def vote(trees: int) -> VotingClassifier:
    """A weighted vote of a linear model and a forest."""
    voters = [("linear", LogisticRegression()), ("trees", ExtraTreesClassifier(trees, max_depth=5))]
    return VotingClassifier(voters, voting="soft", weights=[1, 3])


def vote_of_neighbours() -> VotingClassifier:
    """A vote that no model file can hold."""
    return VotingClassifier([("near", KNeighborsClassifier())], voting="soft")


class Restrained(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear model that is as simple as it can be without losing more than `loss` of its accuracy."""

    def __init__(self, loss: float = 0.02) -> None:
        self.loss = loss

    def fit(self, rows: NDArray[np.float64], target: NDArray[np.int8]) -> Self:
        fitted = [LogisticRegression(C=c).fit(rows, target) for c in (0.001, 0.01, 0.1, 1.0)]
        scores = [model.score(rows, target) for model in fitted]
        self.fitted_ = next(
            model for model, score in zip(fitted, scores, strict=True) if score > max(scores) - self.loss
        )
        self.classes_ = self.fitted_.classes_
        return self

    def predict_proba(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        probability: NDArray[np.float64] = self.fitted_.predict_proba(rows)
        return probability


class Constant(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of its own kind, which no model file can hold."""

    def fit(self, rows: NDArray[np.float64], target: NDArray[np.int8]) -> Self:  # noqa: ARG002 - as in scikit-learn
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full((len(rows), 2), 0.5)


def nothing() -> object:
    """No classifier."""
    return object()


def broken(**parameters: Any) -> Any:
    """It fails."""
    raise RuntimeError(f"no {sorted(parameters)}")
