"""Choosing and scoring hyper-parameters by cross-validation on training rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes HalvingGridSearchCV importable
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_validate,
)
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from champion.core.errors import UserError
from champion.model.recipe import Search

CV_SCORES = {
    "roc_auc": "roc_auc",
    "average_precision": "average_precision",
    "brier": "neg_brier_score",
    "log_loss": "neg_log_loss",
    "f1_weighted": "f1_weighted",
}


@dataclass(frozen=True)
class Fitted:
    """A pipeline fitted on all training rows, its chosen parameters, and its scores (one array of folds per metric)."""

    pipeline: Pipeline
    chosen: dict[str, Any]
    scores: dict[str, NDArray[np.float64]]


def fit(pipeline: Pipeline, search: Search, seed: int, frame: pd.DataFrame, target: NDArray[np.int8]) -> Fitted:
    """Choose parameters as `search` says, cross-validate the choice on the same folds, and fit it on all rows.

    After a search the scores are optimistic, because the same folds chose the parameters; only held-out rows judge a
    model. Raises `UserError` when a class has fewer rows than folds, or when the estimator refuses a combination of
    parameters.
    """
    if np.bincount(target, minlength=2).min() < search.folds:
        raise UserError(
            f"the smaller class has fewer training rows than the {search.folds} folds of `train.search.folds` in "
            "params.yaml. Lower the number of folds, or give more data."
        )
    folds = StratifiedKFold(search.folds, shuffle=True, random_state=seed)
    # The order of sums in BLAS depends on the number of threads; with one thread the bytes are the same everywhere.
    with threadpool_limits(1, user_api="blas"), _refusals_in_one_line(pipeline):
        # The threads of a forest add up its votes in any order: with one thread the scores are the same everywhere.
        with parallel_config("sequential"):
            chosen = _choose(pipeline, search, folds, seed, frame, target)
            pipeline.set_params(**chosen)
            measured = cross_validate(pipeline, frame, target, scoring=CV_SCORES, cv=folds, error_score="raise")
        pipeline.fit(frame, target)
    scores = {
        name: -measured[f"test_{name}"] if scorer.startswith("neg_") else measured[f"test_{name}"]
        for name, scorer in CV_SCORES.items()
    }
    return Fitted(pipeline, {name.removeprefix("model__"): value for name, value in chosen.items()}, scores)


def _choose(
    pipeline: Pipeline, search: Search, folds: StratifiedKFold, seed: int, frame: pd.DataFrame, target: NDArray[np.int8]
) -> dict[str, Any]:
    grid = {f"model__{name}": values for name, values in search.grid.items()}
    common = {"scoring": search.scoring, "cv": folds, "refit": False, "error_score": "raise"}
    match search.method:
        case "none":
            return {}
        case "grid":
            tuner = GridSearchCV(pipeline, grid, **common)
        case "halving":
            tuner = HalvingGridSearchCV(pipeline, grid, random_state=seed, **common)
        case "random":
            tuner = RandomizedSearchCV(pipeline, grid, n_iter=search.candidates, random_state=seed, **common)
    chosen: dict[str, Any] = tuner.fit(frame, target).best_params_
    return chosen


@contextmanager
def _refusals_in_one_line(pipeline: Pipeline) -> Iterator[None]:
    """Say in one sentence why the estimator refuses its parameters; scikit-learn raises only a `ValueError`."""
    try:
        yield
    except ValueError as error:
        name = type(pipeline.named_steps["model"]).__name__
        reason = str(error).partition("\n")[0].rstrip(".")
        raise UserError(f"params.yaml: `train`: {name} cannot be fitted ({reason}). Correct its parameters.") from error
