"""Choose, cross-validate and fit the model on training rows."""

from typing import Any

from champion.model.estimators import build_pipeline, drop_machine_state
from champion.model.model import Model
from champion.model.recipe import Recipe
from champion.pipeline.train.search import Fitted, fit
from champion.table.dataset import Dataset


def train_model(recipe: Recipe, data: Dataset) -> tuple[Model, Fitted]:
    """The fitted model, and how it was chosen and scored. Raises `UserError` for parameters the estimator refuses."""
    fitted = fit(build_pipeline(recipe, data.features), recipe.search, recipe.seed, data.frame, data.target)
    return Model(drop_machine_state(fitted.pipeline), data.features, float(data.target.mean())), fitted


def summarise(recipe: Recipe, data: Dataset, fitted: Fitted) -> dict[str, Any]:
    """Cross-validation scores (mean and standard deviation over folds) and what they are scores of."""
    return {
        "rows": len(data.target),
        "base_rate": float(data.target.mean()),
        "estimator": recipe.estimator,
        "search": recipe.search.method,
        "chosen": fitted.chosen,
        "folds": recipe.search.folds,
        "cross_validation": {
            name: {"mean": float(scores.mean()), "std": float(scores.std())} for name, scores in fitted.scores.items()
        },
    }
