"""The recipe as it would have been used at earlier dates."""

from datetime import date

import polars as pl

from champion.model.fitting import calibrate, calibrated, rehearse
from champion.model.recipe import Recipe
from champion.model.scores import CHOSE, KNOWN_RATE, REHEARSED_AT, SCORE
from champion.table.dataset import Dataset


def rehearse_earlier(recipe: Recipe, data: Dataset, chosen: pl.DataFrame) -> pl.DataFrame:
    """The scores of every row tested in the rehearsals before the split date, with `known_rate` and `chose`.

    A rehearsal that chose the recipe has its scores in `chosen`, and is not fitted again. At each date the calibration
    is fitted on the rehearsals that were complete then; before the first of them, the scores stay uncalibrated.
    """
    calendar = data.schema.calendar
    if calendar is None:
        return _scored(rehearse(recipe, data, []), 0.0, chose=False)
    shown = data.rehearsals(calendar.shown)
    known = {one.name: chosen.filter(pl.col(REHEARSED_AT) == one.name) for one in shown}
    fitted = rehearse(recipe, data, [one for one in shown if known[one.name].is_empty()])
    scores = pl.concat([chosen, fitted])
    known_from = {name: calendar.known(date.fromisoformat(name)) for name in scores[REHEARSED_AT].unique()}
    found = [_scored(scores.clear(), 0.0, chose=False)]
    for one in shown:
        complete = [name for name, day in known_from.items() if day <= date.fromisoformat(one.name)]
        calibration = calibrate(recipe, scores.filter(pl.col(REHEARSED_AT).is_in(complete)))
        own = scores.filter(pl.col(REHEARSED_AT) == one.name)
        own = own.with_columns(pl.Series(SCORE, calibrated(own[SCORE].to_numpy(), calibration)))
        found.append(_scored(own, float(data.target[one.train].mean()), chose=not known[one.name].is_empty()))
    return pl.concat(found)


def _scored(scores: pl.DataFrame, known_rate: float, *, chose: bool) -> pl.DataFrame:
    return scores.with_columns(pl.lit(known_rate).alias(KNOWN_RATE), pl.lit(chose).alias(CHOSE))
