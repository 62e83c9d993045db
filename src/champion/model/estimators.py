"""The estimators that params.yaml can name, each as one scikit-learn Pipeline with its preprocessing."""

from typing import Any

from sklearn.base import ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import InvalidParameterError

from champion.core.errors import UserError
from champion.core.strict_yaml import did_you_mean
from champion.core.values import DECIMALS
from champion.model.features import build_preprocessor
from champion.model.recipe import Recipe, Training
from champion.table.features import Feature


def build_pipeline(recipe: Recipe, features: list[Feature]) -> Pipeline:
    """An unfitted Pipeline with the steps `preprocess` and `model`.

    Raises `UserError` naming a parameter in params.yaml that the estimator does not have or whose value it refuses.
    """
    model = _build_model(recipe, features)
    _set_params(model, getattr(recipe, recipe.estimator), f"train.{recipe.estimator}", features)
    preprocess = build_preprocessor(
        features,
        for_trees=recipe.estimator == "hist_gradient_boosting",
        scale=recipe.estimator == "logistic_regression",
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


def drop_machine_state(pipeline: Pipeline) -> Pipeline:
    """A fitted pipeline without what depends on the machine: thread counts and the last digits of coefficients."""
    model = pipeline.named_steps["model"]
    if isinstance(model, HistGradientBoostingClassifier):
        model._bin_mapper.n_threads = 1
    elif isinstance(model, RandomForestClassifier):
        # Several threads add up the trees' votes in a random order, which changes the last digits.
        model.n_jobs = None
    elif isinstance(model, LogisticRegression):
        # On another processor, BLAS has other kernels, which round differently.
        model.coef_, model.intercept_ = model.coef_.round(DECIMALS), model.intercept_.round(DECIMALS)
    return pipeline


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
        model._validate_params()
    except InvalidParameterError as error:
        raise UserError(f"params.yaml: `{where}`: {error}") from None
