"""The estimators of params.yaml, and the parameters that they refuse."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from champion.core.errors import UserError
from champion.model.estimators import build_pipeline, drop_machine_state
from champion.model.recipe import Recipe, Search
from champion.table.features import Feature

FEATURES = [Feature(name="amount", type="number"), Feature(name="kind", type="category")]
NAMES = ["hist_gradient_boosting", "random_forest", "logistic_regression"]


def train_params(estimator: str, search: dict[str, Any] | None = None, **params: Any) -> Recipe:
    section = {"estimator": estimator, estimator: params, "search": Search.model_validate(search or {"method": "none"})}
    return Recipe.model_validate(section)


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


def test_encoded_categories_are_declared_to_the_boosting() -> None:
    boosting = build_pipeline(train_params("hist_gradient_boosting"), FEATURES).named_steps["model"]
    assert boosting.categorical_features == [0]
    boosting = build_pipeline(train_params("hist_gradient_boosting"), FEATURES[:1]).named_steps["model"]
    assert boosting.categorical_features is None


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (
            train_params("random_forest", n_estimator=5),
            r"`train\.random_forest\.n_estimator`: RandomForestClassifier has no such parameter "
            r"\(did you mean `n_estimators`\?\)",
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
    ],
)
def test_a_parameter_the_estimator_refuses_is_a_sentence(train: Recipe, expected: str) -> None:
    with pytest.raises(UserError, match=expected) as error:
        build_pipeline(train, FEATURES)
    assert str(error.value).startswith("params.yaml: ")
    assert "\n" not in str(error.value)


def test_a_grid_that_no_search_uses_is_not_looked_at() -> None:
    build_pipeline(train_params("random_forest", {"method": "none", "grid": {"nonsense": [1]}}), FEATURES)


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
