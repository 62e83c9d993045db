"""The estimators of params.yaml, and the parameters that they refuse."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from champion.core.errors import UserError
from champion.model.estimators import build_pipeline, check_grid, drop_machine_state
from champion.model.recipe import Training
from champion.table.features import Feature

FEATURES = [Feature(name="amount", type="number"), Feature(name="kind", type="category")]
NAMES = ["hist_gradient_boosting", "random_forest", "logistic_regression"]


def train_params(estimator: str, search: dict[str, Any] | None = None, **params: Any) -> Training:
    return Training.model_validate({"estimator": estimator, estimator: params, "search": search or {"method": "none"}})


def rows(count: int = 200) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"amount": rng.normal(size=count), "kind": rng.choice(["a", "b", "c"], count).astype(object)})
    return frame, (frame["amount"] + rng.normal(size=count) > 0).to_numpy().astype(np.int8)


@pytest.mark.parametrize(
    ("name", "kind", "encoder", "scaled"),
    [
        ("hist_gradient_boosting", HistGradientBoostingClassifier, OrdinalEncoder, False),
        ("random_forest", RandomForestClassifier, OneHotEncoder, False),
        ("logistic_regression", LogisticRegression, OneHotEncoder, True),
    ],
)
def test_each_estimator_gets_the_preprocessing_it_needs(name: str, kind: type, encoder: type, scaled: bool) -> None:
    pipeline = build_pipeline(train_params(name), FEATURES)
    (_, encodes, _), (_, numbers, _) = pipeline.named_steps["preprocess"].transformers
    assert isinstance(pipeline.named_steps["model"], kind)
    assert isinstance(encodes, encoder)
    assert any(isinstance(step, StandardScaler) for _, step in getattr(numbers, "steps", [])) is scaled


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_and_the_estimators_own_parameters_reach_it(name: str) -> None:
    own = {"C": 0.5} if name == "logistic_regression" else {"max_depth": 3}
    train = train_params(name, **own).model_copy(update={"seed": 42})
    found = build_pipeline(train, FEATURES).named_steps["model"].get_params()
    assert found["random_state"] == 42
    assert found | own == found


def test_another_estimators_parameters_are_not_looked_at() -> None:
    train = train_params("random_forest").model_copy(update={"logistic_regression": {"nonsense": 1}})
    assert isinstance(build_pipeline(train, FEATURES).named_steps["model"], RandomForestClassifier)


@pytest.mark.parametrize(
    ("native", "features", "declared"), [(True, FEATURES, [0]), (True, FEATURES[:1], None), (False, FEATURES, None)]
)
def test_only_native_categories_are_declared_to_the_boosting(
    native: bool, features: list[Feature], declared: list[int] | None
) -> None:
    recipe = train_params("hist_gradient_boosting").model_copy(update={"native_categories": native})
    assert build_pipeline(recipe, features).named_steps["model"].categorical_features == declared


def test_a_constraint_by_name_is_kept_in_every_prediction() -> None:
    frame, target = rows(500)
    free, bound = (
        build_pipeline(train_params("hist_gradient_boosting", **constraint), FEATURES).fit(frame, 1 - target)
        for constraint in ({}, {"monotonic_cst": {"amount": 1}})
    )
    line = pd.DataFrame({"amount": np.linspace(-3, 3, 200), "kind": pd.Series(["a"] * 200, dtype=object)})
    # The target falls with the amount, so that only the constraint keeps the probability from falling.
    assert (np.diff(free.predict_proba(line)[:, 1]) < 0).any()
    assert (np.diff(bound.predict_proba(line)[:, 1]) >= 0).all()


def test_a_constraint_belongs_to_its_column_wherever_the_table_has_it() -> None:
    recipe = train_params("hist_gradient_boosting", monotonic_cst={"amount": -1})
    for features in (FEATURES, FEATURES[::-1]):
        # Boosting sees categories first.
        assert build_pipeline(recipe, features).named_steps["model"].monotonic_cst == [0, -1]


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (
            train_params("random_forest", n_estimator=5),
            r"`train\.random_forest\.n_estimator`: RandomForestClassifier has no such parameter "
            r"\(did you mean `n_estimators`\?\)",
        ),
        (
            train_params("hist_gradient_boosting", categorical_features=[0]),
            r"`train\.hist_gradient_boosting\.categorical_features`: set `train\.native_categories` instead",
        ),
        (train_params("logistic_regression", zzz=1), r"`train\.logistic_regression\.zzz`: .* no such parameter\.$"),
        (train_params("hist_gradient_boosting", max_iter=-1), r"`train\.hist_gradient_boosting`: The 'max_iter' param"),
        (train_params("logistic_regression", C="1"), r"`train\.logistic_regression`: The 'C' parameter"),
        (
            train_params("random_forest", {"method": "grid", "grid": {"max_dept": [1]}}),
            r"`train\.search\.grid\.max_dept`: .*\(did you mean `max_depth`\?\)",
        ),
        (
            train_params("random_forest", {"method": "grid", "grid": {"max_depth": [1, 0]}}),
            r"`train\.search\.grid`: The 'max_depth' parameter",
        ),
        (
            train_params("random_forest", monotonic_cst={"amount": 1}),
            r"`train\.random_forest\.monotonic_cst`: only hist_gradient_boosting takes names of columns",
        ),
        (
            train_params("hist_gradient_boosting", monotonic_cst={"amout": 1}),
            r"`train\.hist_gradient_boosting\.monotonic_cst\.amout`: no such feature \(did you mean `amount`\?\)",
        ),
        (
            train_params(
                "hist_gradient_boosting", {"method": "grid", "grid": {"monotonic_cst": [{"amount": 1}, {"x": 1}]}}
            ),
            r"`train\.search\.grid\.monotonic_cst\.x`: no such feature\.$",
        ),
    ],
)
def test_a_parameter_the_estimator_refuses_is_a_sentence(train: Training, expected: str) -> None:
    checked = check_grid if train.search.grid else build_pipeline
    with pytest.raises(UserError, match=expected) as error:
        checked(train, FEATURES)
    assert str(error.value).startswith("params.yaml: ")
    assert "\n" not in str(error.value)


def test_a_grid_that_no_search_uses_is_not_looked_at() -> None:
    check_grid(train_params("random_forest", {"method": "none", "grid": {"nonsense": [1]}}), FEATURES)


@pytest.mark.parametrize("name", NAMES)
def test_settling_changes_no_prediction_that_shows(name: str) -> None:
    frame, target = rows()
    pipeline = build_pipeline(train_params(name), FEATURES).fit(frame, target)
    before = pipeline.predict_proba(frame)
    assert drop_machine_state(pipeline).predict_proba(frame) == pytest.approx(before, abs=1e-5)


def test_settling_forgets_the_last_digits_of_coefficients() -> None:
    frame, target = rows()
    pipeline = build_pipeline(train_params("logistic_regression"), FEATURES).fit(frame, target)
    pipeline.named_steps["model"].coef_ += 1e-9
    once = drop_machine_state(pipeline).named_steps["model"]
    again = drop_machine_state(
        build_pipeline(train_params("logistic_regression"), FEATURES).fit(frame, target)
    ).named_steps["model"]
    np.testing.assert_array_equal(once.coef_, again.coef_)
    np.testing.assert_array_equal(once.intercept_, again.intercept_)


def test_settling_forgets_the_machines_number_of_threads() -> None:
    frame, target = rows()
    boosting = build_pipeline(train_params("hist_gradient_boosting", max_iter=2), FEATURES).fit(frame, target)
    assert drop_machine_state(boosting).named_steps["model"]._bin_mapper.n_threads == 1
    forest = build_pipeline(train_params("random_forest", n_estimators=2), FEATURES).fit(frame, target)
    assert drop_machine_state(forest).named_steps["model"].n_jobs is None
