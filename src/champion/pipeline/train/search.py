"""Choosing hyper-parameters by rehearsals."""

from typing import Any, Self

import numpy as np
import pandas as pd
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes HalvingGridSearchCV importable
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from champion.core.errors import UserError
from champion.model.estimators import build_pipeline, by_position
from champion.model.fitting import fit_rows, half_lives, refusals_of
from champion.model.recipe import Training
from champion.table.dataset import Dataset, Rehearsal


class _Candidate(Pipeline):  # type: ignore[misc]
    """A pipeline that is fitted to the rows of a rehearsal as the recipe will be."""

    def fit(self, frame: pd.DataFrame, target: NDArray[np.int8], ages: NDArray[np.float64] | None = None) -> Self:
        fit_rows(self, frame, target, ages)
        return self


def choose(params: Training, data: Dataset, rehearsals: list[Rehearsal]) -> dict[str, Any]:
    """The parameters of the grid with the best mean score over the rehearsals; empty without a search.

    Raises `UserError` when there is no rehearsal, or when the estimator refuses a combination of parameters.
    """
    search = params.search
    if search.method == "none":
        return {}
    if not rehearsals:
        raise UserError(
            "params.yaml: `train.search`: the history is too short to rehearse, so nothing can choose. Set `method` to "
            "`none`, or give older rows."
        )
    pipeline = _Candidate(build_pipeline(params, data.features).steps)
    grid = {
        f"model__{name}": [by_position(name, value, "train.search.grid", data.features) for value in values]
        for name, values in search.grid.items()
    }
    folds = [(np.flatnonzero(one.train), np.flatnonzero(one.test)) for one in rehearsals]
    common = {"scoring": search.scoring, "cv": folds, "refit": False, "error_score": "raise"}
    match search.method:
        case "grid":
            tuner = GridSearchCV(pipeline, grid, **common)
        case "halving":
            tuner = HalvingGridSearchCV(pipeline, grid, random_state=params.seed, **common)
        case "random":
            tuner = RandomizedSearchCV(pipeline, grid, n_iter=search.candidates, random_state=params.seed, **common)
    # One thread: BLAS and forests add up in any order, which could change the choice.
    with threadpool_limits(1, user_api="blas"), parallel_config("sequential"), refusals_of(params, pipeline):
        tuner.fit(data.frame, data.target, ages=half_lives(params, data))
    return {name.removeprefix("model__"): value for name, value in tuner.best_params_.items()}
