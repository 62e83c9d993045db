"""Choosing and scoring hyper-parameters on training rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score

from champion.core.errors import UserError
from champion.model.estimators import build_pipeline
from champion.model.recipe import Recipe, Search
from champion.pipeline.train.search import CV_SCORES, Fitted, fit
from champion.table.features import Feature

GRID = {"C": [1e-6, 1.0], "fit_intercept": [True, False]}


def rows(count: int = 400) -> tuple[pd.DataFrame, NDArray[np.int8]]:
    rng = np.random.default_rng(11)
    frame = pd.DataFrame({"x": rng.normal(size=count), "y": rng.normal(size=count)})
    return frame, (frame["x"] + 0.5 * rng.normal(size=count) > 0.8).to_numpy().astype(np.int8)


def fitted(search: Search, seed: int = 5) -> Fitted:
    frame, target = rows()
    train = Recipe(estimator="logistic_regression", search=search)
    return fit(
        build_pipeline(train, [Feature(name=name, type="number") for name in "xy"]),
        search,
        seed,
        frame,
        target,
    )


def searching(method: str, **options: Any) -> Search:
    return Search.model_validate({"method": method, "folds": 3, "grid": GRID, **options})


def test_the_scores_are_scikit_learns_on_the_same_folds() -> None:
    frame, target = rows()
    found = fitted(searching("none"))
    folds = StratifiedKFold(3, shuffle=True, random_state=5)
    assert found.chosen == {}
    for name, scorer in CV_SCORES.items():
        expected = cross_val_score(clone(found.pipeline), frame, target, cv=folds, scoring=scorer)
        assert found.scores[name] == pytest.approx(-expected if scorer.startswith("neg_") else expected), name


def test_errors_are_positive_and_scores_are_one_per_fold() -> None:
    scores = fitted(searching("none")).scores
    assert set(scores) == set(CV_SCORES)
    assert all(len(values) == 3 and (values > 0).all() for values in scores.values())


@pytest.mark.parametrize("method", ["grid", "halving", "random"])
def test_each_search_finds_the_better_of_two_far_apart(method: str) -> None:
    found = fitted(searching(method, candidates=4, scoring="neg_log_loss"))
    assert found.chosen["C"] == 1.0
    assert found.pipeline.named_steps["model"].C == 1.0


@pytest.mark.parametrize("method", ["none", "grid", "halving", "random"])
def test_the_same_seed_chooses_and_scores_the_same(method: str) -> None:
    once, again = (fitted(searching(method, candidates=2)) for _ in range(2))
    assert once.chosen == again.chosen
    for name in CV_SCORES:
        np.testing.assert_array_equal(once.scores[name], again.scores[name])


def test_the_pipeline_is_fitted_on_all_rows() -> None:
    frame, target = rows()
    found = fitted(searching("grid"))
    again = clone(found.pipeline).fit(frame, target)
    assert found.pipeline.predict_proba(frame) == pytest.approx(again.predict_proba(frame))


def test_fewer_rows_of_a_class_than_folds_are_refused() -> None:
    frame, _ = rows()
    train = Recipe(estimator="logistic_regression", search=searching("none"))
    pipeline = build_pipeline(train, [Feature(name="x", type="number")])
    for target in (np.array([1, 1] + [0] * 398, dtype=np.int8), np.zeros(400, dtype=np.int8)):
        with pytest.raises(UserError, match=r"fewer training rows than the 3 folds of `train\.search\.folds`"):
            fit(pipeline, train.search, 0, frame, target)


@pytest.mark.parametrize("scoring", ["roc_auc", "average_precision", "neg_brier_score", "neg_log_loss", "f1_weighted"])
def test_every_scoring_that_params_allow_is_measured(scoring: str) -> None:
    assert scoring in CV_SCORES.values()
