"""Choose the recipe by rehearsals, and fit it on what was known at the split date."""

from typing import Any

import numpy as np
import polars as pl
from sklearn import metrics

from champion.core.errors import UserError
from champion.core.metrics_file import lay_out_metrics
from champion.model.fitting import rehearse
from champion.model.recipe import Recipe, Training
from champion.model.scores import REHEARSED_AT, SCORE
from champion.pipeline.train.search import choose
from champion.table.columns import TARGET
from champion.table.dataset import Dataset, Rehearsal

SCORED = ("roc_auc", "average_precision", "brier", "log_loss", "f1_weighted")


def choosing_rehearsals(data: Dataset) -> list[Rehearsal]:
    """The rehearsals that were complete at the split date; in a table without dates, the folds."""
    calendar = data.schema.calendar
    return data.folds() if calendar is None else data.rehearsals(calendar.choosing(calendar.split))


def choose_recipe(params: Training, data: Dataset) -> tuple[Recipe, pl.DataFrame]:
    """The chosen recipe, and its scores in the rehearsals. Raises `UserError` when a choice needs one and has none."""
    rehearsals = choosing_rehearsals(data)
    if not rehearsals and params.calibration != "none":
        raise UserError(
            "params.yaml: `train.calibration`: the history is too short to rehearse, so nothing can be calibrated. Set "
            "it to `none`, or give older rows."
        )
    recipe = params.with_parameters(choose(params, data, rehearsals))
    return recipe, rehearse(recipe, data, rehearsals)


def describe_work(params: Training, rehearsals: int, rows: int) -> str:
    """What training will do, as a progress message."""
    what = f"{rehearsals} rehearsal{'' if rehearsals == 1 else 's'}, then all {rows:,} rows"
    if params.search.method == "none":
        return f"fitting {params.estimator} in {what}"
    return f"{params.search.method} search for {params.estimator} in {what}"


def summarise(params: Training, recipe: Recipe, trained: Dataset, scores: pl.DataFrame) -> dict[str, Any]:
    """The mean of each metric over the rehearsals that chose (`NAME`), its standard deviation, and the recipe.

    Without rehearsals they are None. After a search they are optimistic, because the same rehearsals chose the
    parameters.
    """
    metrics_found: dict[str, float | None] = {"rows": len(trained.target), "base_rate": float(trained.target.mean())}
    each = [_score(rows[TARGET].to_numpy(), rows[SCORE].to_numpy()) for rows in scores.partition_by(REHEARSED_AT)]
    for name in SCORED:
        values = np.array([one[name] for one in each])
        metrics_found[name] = float(values.mean()) if each else None
        metrics_found[f"{name}_std"] = float(values.std()) if each else None
    parameters = recipe.estimator_parameters
    used = {"estimator": recipe.estimator, "search": params.search.method, "rehearsals": len(each)}
    searched = sorted(params.search.grid) if params.search.method != "none" else []
    chosen = [{"param": name, "value": parameters[name]} for name in searched]
    return lay_out_metrics(metrics_found) | {"recipe": [used | {"chosen": chosen}]}


def _score(target: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    return {
        "roc_auc": float(metrics.roc_auc_score(target, probability)),
        "average_precision": float(metrics.average_precision_score(target, probability)),
        "brier": float(metrics.brier_score_loss(target, probability)),
        "log_loss": float(metrics.log_loss(target, probability)),
        "f1_weighted": float(metrics.f1_score(target, probability >= 0.5, average="weighted", zero_division=0)),
    }
