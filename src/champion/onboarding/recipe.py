"""How the model of an undeclared table is made: the candidate that predicts best in rehearsals before the test."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from champion.model.fitting import rehearse
from champion.model.recipe import Recipe
from champion.model.scores import REHEARSED_AT, SCORE
from champion.table.columns import FOLD, TARGET
from champion.table.dataset import Dataset, Rehearsal
from champion.table.window import REHEARSALS

# With more rows, boosting hardly loses, and a contest would take minutes.
MOST_ROWS = 50_000
SMALL = 5000
# More columns of categories would make the matrix of a linear model very wide.
WIDEST = 500
MAX_CATEGORIES = 50

Candidate = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class FoundRecipe:
    """The section `train` of the winner, the mean Brier score of every candidate, best first, and where they had it."""

    train: dict[str, Any]
    scores: list[tuple[str, float]]
    judged_in: str


def find_recipe(data: Dataset) -> FoundRecipe:
    """The candidate with the lowest mean Brier score over the rehearsals that choose, or over folds without any.

    `data` has the rows that are known at the split date, so no test row is seen.
    """
    candidates = _candidates(data.judged)
    data, rehearsals, judged_in = _rehearsals(data)
    if len(candidates) == 1 or not rehearsals:
        return FoundRecipe(_section(candidates[0]), [], judged_in)
    scores: list[tuple[float, int]] = []
    for name, parameters in candidates:
        recipe = Recipe.model_validate(_section((name, parameters)))
        scores.append((_mean_brier(rehearse(recipe, data, rehearsals)), len(scores)))
    ranked = sorted(scores)
    named = [(_describe(candidates[place]), score) for score, place in ranked]
    return FoundRecipe(_section(candidates[ranked[0][1]]), named, judged_in)


def _rehearsals(data: Dataset) -> tuple[Dataset, list[Rehearsal], str]:
    """The rows and the rehearsals that judge candidates, and what they are called."""
    calendar = data.schema.calendar
    if calendar is None:
        return data, data.folds(), "folds"
    if found := data.rehearsals(calendar.choosing(calendar.split)):
        return data, found, "rehearsals before the test"
    judged = data.judged
    fold = np.random.default_rng(0).permutation(len(judged.target)) % REHEARSALS
    judged = replace(judged, rows=judged.rows.with_columns(pl.Series(FOLD, fold)))
    return judged, judged.folds(), "folds of the rows before the test, as the history is too short to rehearse"


def _candidates(data: Dataset) -> list[Candidate]:
    """From the simplest to the one that needs most rows. The first is taken where nothing can judge them."""
    rows = len(data.target)
    leaf = int(np.clip(rows // 50, 5, 100))
    boosting = {"learning_rate": 0.05, "min_samples_leaf": leaf, "l2_regularization": 10}
    large = ("hist_gradient_boosting", boosting | {"max_iter": 200, "max_leaf_nodes": 15, "max_features": 0.5})
    if rows > MOST_ROWS:
        return [large]
    widths = [data.rows[feature.name].n_unique() for feature in data.features if feature.kind == "category"]
    linear: list[Candidate] = []
    if sum(min(width, MAX_CATEGORIES) for width in widths) <= WIDEST:
        linear = [("logistic_regression", {"C": c}) for c in ((0.1, 1.0) if rows < SMALL else (1.0,))]
    stumps = ("hist_gradient_boosting", boosting | {"max_iter": 100, "max_leaf_nodes": 3})
    trees = ("hist_gradient_boosting", boosting | {"max_iter": 100, "max_leaf_nodes": 8, "max_features": 0.5})
    return [*linear, stumps, trees, *([large] if rows >= SMALL else [])]


def _section(candidate: Candidate) -> dict[str, Any]:
    name, parameters = candidate
    return {"estimator": name, name: dict(sorted(parameters.items())), "max_categories": MAX_CATEGORIES}


def _describe(candidate: Candidate) -> str:
    name, parameters = candidate
    key = "C" if name == "logistic_regression" else "max_leaf_nodes"
    return f"{name} with {key} {parameters[key]}"


def _mean_brier(scores: pl.DataFrame) -> float:
    each = [(rows[SCORE] - rows[TARGET]).to_numpy() for rows in scores.partition_by(REHEARSED_AT)]
    return float(np.mean([np.mean(error**2) for error in each]))
