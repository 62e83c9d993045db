"""Choosing hyper-parameters by rehearsals."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from champion.core.errors import UserError
from champion.model.fitting import rehearse
from champion.model.recipe import Training
from champion.pipeline.train.search import choose
from champion.pipeline.train.stage import choose_recipe, choosing_rehearsals, summarise
from champion.table.columns import FOLD, TARGET
from champion.table.dataset import Dataset, Schema
from champion.table.features import Feature
from champion.table.window import Calendar

GRID = {"C": [1e-6, 1.0], "fit_intercept": [True, False]}
SCHEMA = Schema([Feature(name=name, type="number") for name in "xy"], None, None, None, [])


def rows(count: int = 400) -> Dataset:
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=(2, count))
    target = (x + 0.5 * rng.normal(size=count) > 0.8).astype(np.int8)
    return Dataset(pl.DataFrame({"x": x, "y": y, FOLD: np.arange(count) % 4, TARGET: target}), SCHEMA)


def searching(method: str, **options: Any) -> Training:
    search = {"method": method, "grid": GRID, **options}
    return Training.model_validate({"estimator": "logistic_regression", "search": search, "seed": 5})


@pytest.mark.parametrize("method", ["grid", "halving", "random"])
def test_each_search_finds_the_better_of_two_far_apart(method: str) -> None:
    data = rows()
    chosen = choose(searching(method, candidates=4, scoring="neg_log_loss"), data, data.folds())
    assert chosen["C"] == 1.0
    assert set(chosen) == set(GRID)


@pytest.mark.parametrize("method", ["none", "grid", "halving", "random"])
def test_the_same_seed_chooses_and_scores_the_same(method: str) -> None:
    (recipe, scores), (again, same) = (choose_recipe(searching(method, candidates=2), rows()) for _ in range(2))
    assert recipe == again
    assert scores.equals(same)


def test_the_recipe_says_nothing_of_the_search_that_found_it() -> None:
    one, _ = choose_recipe(searching("grid", scoring="neg_log_loss"), rows())
    other, _ = choose_recipe(searching("grid", scoring="neg_log_loss", grid=GRID | {"C": [1e-7, 1.0]}), rows())
    assert one.logistic_regression["C"] == 1.0
    assert one == other
    assert "search" not in one.model_dump()


def test_every_row_is_scored_by_a_model_that_did_not_learn_from_it() -> None:
    data = rows()
    _, scores = choose_recipe(searching("none"), data)
    assert scores["rehearsal"].unique().sort().to_list() == ["0", "1", "2", "3"]
    for one, rows_of_fold in zip(data.folds(), scores.partition_by("rehearsal"), strict=True):
        assert not (one.train & one.test).any()
        assert rows_of_fold[TARGET].to_list() == data.target[one.test].tolist()


def test_the_summary_is_the_mean_over_the_rehearsals() -> None:
    data, params = rows(), searching("none")
    recipe, scores = choose_recipe(params, data)
    found = summarise(params, recipe, data, scores)
    parts = [
        metrics.roc_auc_score(part[TARGET].to_numpy(), part["probability"].to_numpy())
        for part in scores.partition_by("rehearsal")
    ]
    assert found["roc_auc"] == pytest.approx(np.mean(parts))
    assert {"metric": "roc_auc_std", "value": pytest.approx(np.std(parts))} in found["details"]
    assert found["recipe"] == [{"estimator": "logistic_regression", "search": "none", "rehearsals": 4, "chosen": []}]


def test_a_grid_that_no_search_uses_has_chosen_nothing() -> None:
    section = {"estimator": "logistic_regression", "logistic_regression": {"C": 2.0}}
    params = Training.model_validate(section | {"search": {"method": "none", "grid": GRID}})
    recipe, scores = choose_recipe(params, rows())
    assert summarise(params, recipe, rows(), scores)["recipe"][0]["chosen"] == []


@pytest.mark.parametrize("method", ["grid", "halving", "random"])
def test_a_search_without_a_rehearsal_is_a_sentence(method: str) -> None:
    with pytest.raises(
        UserError, match=r"`train\.search`: the history is too short to rehearse, so nothing can choose"
    ):
        choose(searching(method), rows(), [])


def test_a_search_weighs_the_rows_as_the_rehearsals_do() -> None:
    rng = np.random.default_rng(2)
    days = pl.date_range(date(2010, 1, 1), date(2018, 12, 31), "2d", eager=True)
    x = rng.normal(size=(len(days), 10))
    target = (x[:, 0] + rng.normal(size=len(days)) > 0).astype(np.int8)
    names = [f"x{number}" for number in range(10)]
    calendar = Calendar(date(2020, 1, 1), horizon=0, window=12, test=12)
    schema = Schema([Feature(name=name, type="number") for name in names], calendar, "day", None, [])
    data = Dataset(pl.DataFrame(x, schema=names).with_columns(pl.Series(TARGET, target), day=days), schema)
    search = {"method": "grid", "scoring": "neg_log_loss", "grid": {"C": [0.1, 1e9]}}
    section = {"estimator": "logistic_regression", "recency_half_life": "60d", "search": search}
    params = Training.model_validate(section)
    losses = {}
    for c in search["grid"]["C"]:
        scores = rehearse(params.with_parameters({"C": c}), data, choosing_rehearsals(data))
        losses[c] = np.mean(
            [metrics.log_loss(one[TARGET], one["probability"]) for one in scores.partition_by("rehearsal")]
        )
    assert choose(params, data, choosing_rehearsals(data)) == {"C": min(losses, key=lambda c: losses[c])}


def test_a_search_ignores_a_feature_without_a_value() -> None:
    data = rows()
    late = Dataset(data.rows.with_columns(y=pl.lit(None, pl.Float64)), SCHEMA)
    search = {"method": "grid", "grid": {"max_iter": [5, 10]}}
    chosen = choose(
        Training.model_validate({"estimator": "hist_gradient_boosting", "search": search}), late, late.folds()
    )
    assert chosen["max_iter"] in (5, 10)


def test_a_combination_that_the_estimator_refuses_is_a_sentence() -> None:
    grid = {"l1_ratio": [0.5], "solver": ["lbfgs"]}
    data = rows()
    with pytest.raises(UserError, match=r"^params.yaml: `train`: LogisticRegression cannot be fitted \(.+\)\."):
        choose(searching("grid", grid=grid), data, data.folds())


def test_constraints_by_name_can_be_searched() -> None:
    data = rows()
    search = {"method": "grid", "grid": {"monotonic_cst": [{"x": -1}, {"x": 1}, [0, 0]]}}
    boosting = {"max_iter": 5, "min_samples_leaf": 5}
    section = {"estimator": "hist_gradient_boosting", "hist_gradient_boosting": boosting, "search": search}
    recipe, _ = choose_recipe(Training.model_validate(section), data)
    assert recipe.hist_gradient_boosting["monotonic_cst"] in ([1, 0], [0, 0])
