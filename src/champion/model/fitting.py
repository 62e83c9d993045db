"""Fitting a recipe to the rows known at a date, and in rehearsals: train, refit and rehearse do it the same way."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from champion.core.errors import UserError
from champion.core.files import read_json, write_json, write_parquet
from champion.core.layout import CUT_SCORES, FITTED, PIPELINE_FILE, RECIPE
from champion.core.own_code import errors_of_own_code
from champion.model.calibration import Calibration
from champion.model.estimators import KEY, build_pipeline, drop_machine_state, take_fitted
from champion.model.model_file import save_pipeline
from champion.model.recipe import Recipe
from champion.model.reference_row import typical_row
from champion.model.scores import REHEARSED_AT, SCORE
from champion.table.columns import TARGET
from champion.table.dataset import Dataset, Rehearsal
from champion.table.window import shift


def read_recipe() -> Recipe:
    """The recipe that train chose. Raises `UserError` when there is none."""
    return Recipe.model_validate(read_json(RECIPE))


def fit_pipeline(recipe: Recipe, data: Dataset) -> Pipeline:
    """The recipe's pipeline, fitted on all of these rows. Raises `UserError` when the estimator refuses a parameter."""
    pipeline = build_pipeline(recipe, data.features)
    # The order of sums in BLAS depends on the number of threads; with one thread the bytes are the same everywhere.
    with threadpool_limits(1, user_api="blas"), refusals_of(recipe, pipeline):
        fit_rows(pipeline, data.frame, data.target, half_lives(recipe, data))
    if not recipe.is_ours:
        take_fitted(pipeline, recipe.estimator, data.frame)
    return drop_machine_state(pipeline)


def fit_rows(
    pipeline: Pipeline, frame: pd.DataFrame, target: NDArray[np.int8], ages: NDArray[np.float64] | None
) -> None:
    """Fit the pipeline. `ages` in half-lives, shape (rows,), give each row its weight; None: all count the same."""
    if isinstance(pipeline.named_steps["model"], HistGradientBoostingClassifier):
        # Boosting cannot read a column without any value. It ignores a constant one.
        frame = frame.copy(deep=False)
        for name in frame.columns[frame.isna().all()]:
            frame[name] = "" if frame[name].dtype == object else 0.0
    Pipeline.fit(pipeline, frame, target, **({} if ages is None else {"model__sample_weight": row_weights(ages)}))


def half_lives(recipe: Recipe, data: Dataset) -> NDArray[np.float64] | None:
    """How many half-lives each row is older than the newest, shape (rows,); None if all rows count the same."""
    if recipe.recency_half_life is None:
        return None
    if data.schema.date is None:
        raise UserError("params.yaml: `train.recency_half_life`: the table has no dates. Remove it.")
    newest: Any = data.rows[data.schema.date].max()
    half_life = newest - shift(newest, recipe.recency_half_life, -1)
    age = data.rows.select((pl.lit(newest) - pl.col(data.schema.date)).dt.total_days()).to_series().to_numpy()
    ages: NDArray[np.float64] = age / half_life.days
    return ages


def row_weights(ages: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each row counts: half as much for each half-life that it is older than the newest, with a mean of 1."""
    weights = 0.5 ** (ages - ages.min())
    normal: NDArray[np.float64] = weights / weights.mean()
    return normal


def rehearse(recipe: Recipe, data: Dataset, rehearsals: Iterable[Rehearsal]) -> pl.DataFrame:
    """The scores of every tested row, without calibration: columns `rehearsal`, `target` and `probability`."""
    scores = [pl.DataFrame(schema={REHEARSED_AT: pl.String, TARGET: pl.Int8, SCORE: pl.Float64})]
    for one in rehearsals:
        tested = data.only(one.test)
        probability = predict(fit_pipeline(recipe, data.only(one.train)), tested)
        scores.append(
            pl.DataFrame({REHEARSED_AT: [one.name] * len(probability), TARGET: tested.target, SCORE: probability})
        )
    return pl.concat(scores)


def predict(pipeline: Pipeline, data: Dataset) -> NDArray[np.float64]:
    """Probabilities of the positive class, shape (rows,), the same on any number of threads."""
    if data.rows.is_empty():
        return np.empty(0)
    # The threads of a forest add up its votes in any order.
    with parallel_config("sequential"):
        probability: NDArray[np.float64] = pipeline.predict_proba(data.frame)[:, 1]
    return probability


def calibrate(recipe: Recipe, scores: pl.DataFrame) -> Calibration | None:
    """The recipe's calibration, fitted on the scores of rehearsals; None if it has none, or there is no score."""
    if recipe.calibration == "none" or scores.is_empty():
        return None
    return Calibration.fit(recipe.calibration, scores[TARGET].to_numpy(), scores[SCORE].to_numpy())


def calibrated(probability: NDArray[np.float64], calibration: Calibration | None) -> NDArray[np.float64]:
    """The probabilities as the model gives them."""
    return probability if calibration is None else calibration.apply(probability)


def write_fitted(
    folder: Path,
    day: date | None,
    pipeline: Pipeline,
    trained: Dataset,
    calibration: Calibration | None,
    cut_scores: NDArray[np.float64],
) -> None:
    """Write a fitted model with what `package` needs: its facts, and the scores that its cut is set by."""
    save_pipeline(pipeline, folder / PIPELINE_FILE)
    facts = {
        "made": None if day is None else str(day),
        "rows": len(trained.target),
        "positives": int(trained.target.sum()),
        "calibration": None if calibration is None else calibration.describe(),
        "reference": typical_row(trained),
    }
    write_json(folder / FITTED, facts)
    write_parquet(folder / CUT_SCORES, pl.DataFrame({SCORE: cut_scores}))


@contextmanager
def refusals_of(recipe: Recipe, pipeline: Pipeline) -> Iterator[None]:
    """Say in one sentence why the estimator refuses its parameters; scikit-learn raises only a `ValueError`.

    Of an estimator that the user names, say where any error came up.
    """
    try:
        with nullcontext() if recipe.is_ours else errors_of_own_code(recipe.estimator, KEY):
            yield
    except ValueError as error:
        name = type(pipeline.named_steps["model"]).__name__
        reason = str(error).partition("\n")[0].rstrip(".")
        raise UserError(f"params.yaml: `train`: {name} cannot be fitted ({reason}). Correct its parameters.") from error
