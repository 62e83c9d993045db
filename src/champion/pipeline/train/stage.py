"""Choose, cross-validate and fit the model on training rows."""

from typing import Any

from champion.core.metrics_file import lay_out_metrics
from champion.model.estimators import build_pipeline, drop_machine_state
from champion.model.model import Model
from champion.model.recipe import Recipe
from champion.pipeline.train.search import Fitted, fit
from champion.table.dataset import Dataset


def train_model(recipe: Recipe, data: Dataset) -> tuple[Model, Fitted]:
    """The fitted model, its chosen parameters and scores. Raises `UserError` for parameters the estimator refuses."""
    fitted = fit(build_pipeline(recipe, data.features), recipe.search, recipe.seed, data.frame, data.target)
    return Model(drop_machine_state(fitted.pipeline), data.features, float(data.target.mean())), fitted


def describe_work(recipe: Recipe, rows: int) -> str:
    """What `train_model` will do, as a progress message."""
    folds = f"{recipe.search.folds} folds, then all {rows:,} rows"
    if recipe.search.method == "none":
        return f"fitting {recipe.estimator} on {folds}"
    return f"{recipe.search.method} search for {recipe.estimator}, on {folds}"


def summarise(recipe: Recipe, data: Dataset, fitted: Fitted) -> dict[str, Any]:
    """Cross-validated metrics (`NAME`: mean over folds, `NAME_std`: standard deviation), and the recipe."""
    metrics: dict[str, float] = {"rows": len(data.target), "base_rate": float(data.target.mean())}
    for name, scores in fitted.scores.items():
        metrics |= {name: float(scores.mean()), f"{name}_std": float(scores.std())}
    chosen = [{"param": name, "value": value} for name, value in sorted(fitted.chosen.items())]
    recipe_used = {"estimator": recipe.estimator, "search": recipe.search.method, "folds": recipe.search.folds}
    return lay_out_metrics(metrics) | {"recipe": [recipe_used | {"chosen": chosen}]}
