"""The estimators that params.yaml can name, each as one scikit-learn Pipeline with its preprocessing."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils._param_validation import InvalidParameterError

from champion.core.errors import UserError
from champion.core.layout import OWN
from champion.core.own_code import errors_of_own_code, load_own
from champion.core.strict_yaml import did_you_mean
from champion.core.values import DECIMALS
from champion.model.features import build_preprocessor
from champion.model.recipe import Recipe, Training
from champion.table.features import Feature

# What a vote can be of, and what a model file can hold and ONNX can say.
VOTERS = (
    DecisionTreeClassifier,
    ExtraTreesClassifier,
    LinearDiscriminantAnalysis,
    LogisticRegression,
    RandomForestClassifier,
)
STORABLE = (*VOTERS, HistGradientBoostingClassifier, VotingClassifier)
KEY = "train.estimator"
# So many rows show whether two estimators answer alike.
COMPARED_ROWS = 1000


def build_pipeline(recipe: Recipe, features: list[Feature]) -> Pipeline:
    """An unfitted Pipeline with the steps `preprocess` and `model`.

    Raises `UserError` naming a parameter in params.yaml that the estimator does not have or whose value it refuses.
    """
    model = _build_model(recipe, features)
    if recipe.is_ours:
        _set_params(model, recipe.estimator_parameters, f"train.{recipe.section}", features)
    preprocess = build_preprocessor(
        features,
        for_trees=recipe.estimator == "hist_gradient_boosting",
        scale=recipe.estimator == "logistic_regression" or not recipe.is_ours,
        clip=not recipe.is_ours,
        max_categories=recipe.max_categories,
    )
    return Pipeline([("preprocess", preprocess), ("model", model)])


def check_grid(params: Training, features: list[Feature]) -> None:
    """Raise `UserError` naming a parameter of the grid that the estimator does not have or whose value it refuses."""
    model = _build_model(params, features)
    for name, values in params.search.grid.items() if params.search.method != "none" else ():
        for value in values:
            _set_params(clone(model), {name: value}, "train.search.grid", features)


def by_position(name: str, value: Any, where: str, features: list[Feature]) -> Any:
    """The parameter's value as the estimator takes it: `monotonic_cst` by column name becomes a list in its order.

    Boosting sees categories first, then numbers. A column that is not named has no constraint (0).
    """
    if name != "monotonic_cst" or not isinstance(value, dict):
        return value
    names = [feature.name for feature in sorted(features, key=lambda feature: feature.kind)]
    for column in value:
        if column not in names:
            raise UserError(f"params.yaml: `{where}.{name}.{column}`: no such feature{did_you_mean(column, names)}.")
    return [value.get(column, 0) for column in names]


def take_fitted(pipeline: Pipeline, reference: str, frame: pd.DataFrame) -> None:
    """Let the pipeline hold what a user's own estimator put into `fitted_`, if it did.

    Raises `UserError` when that is no estimator that a model file can hold, with what would be lost, or when it answers
    these rows in another way than the user's own.
    """
    model = pipeline.named_steps["model"]
    kept = getattr(model, "fitted_", model)
    _refuse_others(kept, reference)
    if kept is model:
        return
    rows = frame.head(COMPARED_ROWS)
    with errors_of_own_code(reference, KEY):
        expected = pipeline.predict_proba(rows)
        pipeline.steps[-1] = ("model", kept)
        answered = pipeline.predict_proba(rows)
    if not np.allclose(expected, answered, rtol=0, atol=1e-9):
        raise UserError(
            f"params.yaml: `{KEY}`: the `fitted_` of {reference} answers in another way than its predict_proba, and "
            "only `fitted_` is kept. Fit it on the rows as they come."
        )


def drop_machine_state(pipeline: Pipeline) -> Pipeline:
    """A fitted pipeline without what depends on the machine: thread counts and the last digits of coefficients."""
    _drop_machine_state(pipeline.named_steps["model"])
    return pipeline


def _drop_machine_state(model: Any) -> None:
    match model:
        case HistGradientBoostingClassifier():
            model._bin_mapper.n_threads = 1
        case RandomForestClassifier() | ExtraTreesClassifier():
            # Several threads add up the trees' votes in a random order, which changes the last digits.
            model.n_jobs = None
        case LogisticRegression() | LinearDiscriminantAnalysis():
            # On another processor, BLAS has other kernels, which round differently.
            for name, value in vars(model).items():
                if isinstance(value, np.ndarray) and value.dtype == np.float64:
                    setattr(model, name, value.round(DECIMALS))
        case VotingClassifier():
            # The same estimators by name, which no prediction reads.
            del model.named_estimators_
            for voter in model.estimators_:
                _drop_machine_state(voter)


def _build_model(recipe: Recipe, features: list[Feature]) -> ClassifierMixin:
    match recipe.estimator:
        case "hist_gradient_boosting":
            categories = sum(feature.kind == "category" for feature in features) if recipe.native_categories else 0
            return HistGradientBoostingClassifier(
                categorical_features=list(range(categories)) or None, early_stopping=False, random_state=recipe.seed
            )
        case "random_forest":
            return RandomForestClassifier(n_jobs=-1, random_state=recipe.seed)
        case "logistic_regression":
            # On any processor this solver finds the same coefficients within 1e-12, the default solver within 1e-5.
            return LogisticRegression(solver="newton-cholesky", max_iter=1000, random_state=recipe.seed)
        case _:
            return _build_own(recipe)


def _build_own(recipe: Recipe) -> Any:
    """The estimator that a user names, with the seed wherever it takes one.

    Raises `UserError` when it is no classifier, or none that a model file can hold.
    """
    make = load_own(recipe.estimator, KEY)
    with errors_of_own_code(recipe.estimator, KEY):
        model = make(**recipe.parameters)
    if not all(callable(getattr(model, name, None)) for name in ("fit", "predict_proba")):
        raise UserError(
            f"params.yaml: `{KEY}`: {recipe.estimator} gives {type(model).__name__}, which is no classifier with "
            "fit and predict_proba. Give a class or a function that makes one."
        )
    # An own class may put another estimator into `fitted_`, which is known only when it was fitted.
    if recipe.estimator.partition(".")[0] != OWN.name:
        _refuse_others(model, recipe.estimator)
    if hasattr(model, "get_params"):
        with errors_of_own_code(recipe.estimator, KEY):
            unseeded = [
                name for name, value in model.get_params().items() if value is None and name.endswith("random_state")
            ]
            model.set_params(**dict.fromkeys(unseeded, recipe.seed))
    return model


def _refuse_others(model: Any, reference: str) -> None:
    found: type = type(model)
    allowed: tuple[type, ...] = STORABLE
    if found is VotingClassifier:
        voters = getattr(model, "estimators_", [voter for _, voter in model.estimators])
        foreign = [type(voter) for voter in voters if type(voter) not in VOTERS]
        found, allowed = (foreign[0], VOTERS) if foreign else (found, allowed)
    if found not in allowed:
        raise UserError(
            f"params.yaml: `{KEY}`: {reference} gives {found.__module__}.{found.__qualname__}, which no model file can "
            "hold without code, and no ONNX file can say. So nothing could be loaded, registered, served or "
            f"explained. Give {', '.join(one.__name__ for one in allowed)}, or let an own class put one of "
            "them into `fitted_`."
        )


def _set_params(model: ClassifierMixin, params: dict[str, Any], where: str, features: list[Feature]) -> None:
    known = model.get_params()
    for name, value in params.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise UserError(f"params.yaml: `{where}.{name}`: {type(model).__name__} has no such parameter{hint}.")
        if name == "categorical_features":
            raise UserError(f"params.yaml: `{where}.{name}`: set `train.native_categories` instead.")
        by_name = name == "monotonic_cst" and isinstance(value, dict)
        if by_name and not isinstance(model, HistGradientBoostingClassifier):
            raise UserError(f"params.yaml: `{where}.{name}`: only hist_gradient_boosting takes names of columns.")
    try:
        model.set_params(**{name: by_position(name, value, where, features) for name, value in params.items()})
        # A class of a user need not declare what its parameters may be.
        if hasattr(model, "_parameter_constraints"):
            model._validate_params()
    except InvalidParameterError as error:
        raise UserError(f"params.yaml: `{where}`: {error}") from None
