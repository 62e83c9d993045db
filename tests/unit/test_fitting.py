"""A recipe fitted at a date and in rehearsals, the weights of rows, and the cut of the fitted model."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from champion.core.errors import UserError
from champion.model.calibration import Calibration
from champion.model.decision import Decision
from champion.model.fitting import fit_pipeline, half_lives, predict, rehearse, row_weights
from champion.model.recipe import Recipe, Training
from champion.pipeline.package.stage import cut_of, share_to_flag
from champion.pipeline.rehearse.stage import rehearse_earlier
from champion.pipeline.train.stage import choose_recipe, choosing_rehearsals
from champion.table.columns import TARGET
from champion.table.dataset import Dataset, Schema
from champion.table.features import Feature
from champion.table.window import Calendar

FEATURES = [Feature(name="x", type="number")]
# Models are made on 2019-01-01 and 2020-01-01. The choosing rehearsals begin in 2015, 2016 and 2017, and 2014 is empty.
CALENDAR = Calendar(date(2020, 1, 1), horizon=0, window=12, test=12)


def rows(*years: int, calendar: Calendar = CALENDAR, seed: int = 0) -> Dataset:
    """Two hundred rows a year. The target depends on x."""
    rng = np.random.default_rng(seed)
    days = [date(year, 1, 1 + number % 28) for year in years for number in range(200)]
    x = rng.normal(size=len(days))
    target = (x + rng.normal(size=len(days)) > 0.5).astype(np.int8)
    table = pl.DataFrame({"day": days, "x": x, TARGET: target}, schema_overrides={"day": pl.Date})
    return Dataset(table, Schema(FEATURES, calendar, "day", None, []))


def recipe(**options: Any) -> Training:
    return Training.model_validate({"estimator": "logistic_regression", "search": {"method": "none"}, **options})


@pytest.mark.parametrize(("half_life", "halves"), [(12, 1), ("365d", 1), (6, 365 / 184), ("730d", 0.5)])
def test_a_row_counts_half_for_each_half_life_that_it_is_older(half_life: Any, halves: float) -> None:
    data = rows(2016, 2017)
    ages = half_lives(recipe(recency_half_life=half_life), data)
    assert ages is not None
    weights = row_weights(ages)
    assert weights.mean() == pytest.approx(1)
    newest = data.rows["day"].to_numpy() == np.datetime64("2017-01-28")
    year_older = data.rows["day"].to_numpy() == np.datetime64("2016-01-28")
    assert weights[year_older][0] / weights[newest][0] == pytest.approx(0.5 ** (halves * 366 / 365), rel=0.01)


def test_without_a_half_life_all_rows_count_the_same() -> None:
    assert half_lives(recipe(), rows(2016)) is None


def test_a_half_life_changes_the_model() -> None:
    data = rows(2016, 2017)
    data.rows.replace_column(
        2, pl.Series(TARGET, np.where(data.rows["day"].dt.year() == 2016, 0, data.target), pl.Int8)
    )
    plain, recent = (fit_pipeline(recipe(recency_half_life=length), data) for length in (None, 2))
    assert predict(recent, data).mean() > predict(plain, data).mean() + 0.05


def test_a_half_life_without_dates_is_a_sentence() -> None:
    data = Dataset(rows(2016).rows, Schema(FEATURES, None, None, None, []))
    with pytest.raises(UserError, match=r"`train\.recency_half_life`: the table has no dates\. Remove it\."):
        fit_pipeline(recipe(recency_half_life=12), data)


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_feature_without_a_value_is_as_good_as_none(kind: Any) -> None:
    data = rows(2016)
    empty = Feature(name="empty", type=kind)
    table = data.rows.with_columns(empty=pl.lit(None, pl.String if kind == "category" else pl.Float64))
    wider = Dataset(table, Schema([*FEATURES, empty], CALENDAR, "day", None, []))
    boosting = recipe(estimator="hist_gradient_boosting", hist_gradient_boosting={"max_iter": 5})
    without, found = (predict(fit_pipeline(boosting, one), one) for one in (data, wider))
    np.testing.assert_array_equal(found, without)


def test_a_rehearsal_is_the_model_of_its_day() -> None:
    data = rows(2014, 2015, 2016)
    (rehearsal,) = data.rehearsals([date(2016, 1, 1)])
    scores = rehearse(recipe(), data, [rehearsal])
    alone = fit_pipeline(recipe(), rows(2014, 2015, 2016).only(data.rows["day"].dt.year().to_numpy() == 2015))
    tested = data.only(data.rows["day"].dt.year().to_numpy() == 2016)
    np.testing.assert_array_equal(scores["probability"].to_numpy(), predict(alone, tested))
    assert scores[TARGET].to_list() == tested.target.tolist()
    assert scores["rehearsal"].unique().to_list() == ["2016-01-01"]


@pytest.mark.parametrize(
    ("years", "days"),
    [
        ([], []),
        ([2018], []),
        ([2017, 2018], ["2018-01-01"]),
        ([2015, 2017, 2018], ["2018-01-01"]),
        (range(2010, 2019), ["2015-01-01", "2016-01-01", "2017-01-01", "2018-01-01"]),
    ],
)
def test_there_are_as_many_rehearsals_as_the_history_allows(years: Any, days: list[str]) -> None:
    data = rows(*years)
    recipe_used, scores = choose_recipe(recipe(), data)
    assert [one.name for one in choosing_rehearsals(data)] == days
    assert scores["rehearsal"].unique().sort().to_list() == days
    shown = rehearse_earlier(recipe_used, data, scores)
    assert shown["rehearsal"].unique().sort().to_list() == days
    assert shown["chose"].all()


@pytest.mark.parametrize("kind", ["sigmoid", "isotonic"])
def test_calibration_without_a_rehearsal_is_a_sentence(kind: str) -> None:
    with pytest.raises(UserError, match=r"`train\.calibration`: the history is too short to rehearse"):
        choose_recipe(recipe(calibration=kind), rows(2018))


@pytest.mark.parametrize("decision", [{"costs": {"false_positive": 1.0}}, {"maximise": "f1"}])
def test_a_decision_without_a_rehearsal_is_a_sentence(decision: dict[str, Any]) -> None:
    _, nothing = choose_recipe(recipe(), rows(2018))
    with pytest.raises(UserError, match=r"`decision`: the history is too short to rehearse, so no share can be chosen"):
        share_to_flag(Decision.model_validate(decision), nothing)


def test_a_shown_rehearsal_is_calibrated_by_those_that_were_complete_then() -> None:
    # Each rehearsal is complete when the next begins; the choosing ones are 2015 to 2018, as are the shown ones.
    data = rows(*range(2012, 2019))
    calibrated = recipe(calibration="sigmoid")
    _, scores = choose_recipe(calibrated, data)
    shown = rehearse_earlier(calibrated, data, scores)
    for year in range(2015, 2019):
        raw = scores.filter(pl.col("rehearsal") == f"{year}-01-01")["probability"].to_numpy()
        before = scores.filter(pl.col("rehearsal") < f"{year}-01-01")
        expected = raw
        if not before.is_empty():
            fitted = Calibration.fit("sigmoid", before[TARGET].to_numpy(), before["probability"].to_numpy())
            expected = fitted.apply(raw)
        own = shown.filter(pl.col("rehearsal") == f"{year}-01-01")
        np.testing.assert_array_equal(own["probability"].to_numpy(), expected)
        assert own["known_rate"][0] == data.rows.filter(pl.col("day").dt.year() == year - 1)[TARGET].mean()


def test_a_rehearsal_that_chose_is_not_fitted_again() -> None:
    data = rows(*range(2012, 2019))
    _, scores = choose_recipe(recipe(), data)
    marked = scores.with_columns(probability=pl.lit(0.5))
    assert set(rehearse_earlier(recipe(), data, marked)["probability"]) == {0.5}


def test_a_table_without_dates_has_no_earlier_rehearsal() -> None:
    data = Dataset(rows().rows, Schema(FEATURES, None, None, None, []))
    shown = rehearse_earlier(recipe(), data, rehearse(recipe(), data, []))
    assert shown.is_empty()
    assert shown.columns == ["rehearsal", TARGET, "probability", "known_rate", "chose"]


SCORES = pl.DataFrame({"probability": [0.1, 0.2, 0.3, 0.3, 0.9]})


@pytest.mark.parametrize(
    ("decision", "cut"),
    [({"share": 0.2}, 0.9), ({"share": 0.6}, 0.3), ({"share": 0.5}, 0.9), ({"probability": 0.4}, 0.4)],
)
def test_the_cut_flags_at_most_the_share_of_the_newest_rows(decision: dict[str, float], cut: float) -> None:
    chosen = Decision.model_validate(decision)
    share = share_to_flag(chosen, SCORES.clear())
    assert cut_of(chosen, share, SCORES) == cut


def test_a_share_of_no_newest_rows_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"`decision`: no row is new at a model.s date .* Give a `probability`"):
        cut_of(Decision(share=0.1), 0.1, SCORES.clear())


def test_costs_choose_a_share_on_the_rehearsals() -> None:
    rng = np.random.default_rng(1)
    probability = rng.random(2000)
    target = (rng.random(2000) < probability).astype(np.int8)
    choosing = pl.DataFrame({"rehearsal": ["a", "b"] * 1000, TARGET: target, "probability": probability})
    # With perfect probabilities, a row is worth flagging from 1 / (1 + 4) up, which is 80% of them.
    costs = Decision.model_validate({"costs": {"false_positive": 1.0, "false_negative": 4.0}})
    assert share_to_flag(costs, choosing) == pytest.approx(0.8, abs=0.06)


def test_a_recipe_is_read_as_it_was_written() -> None:
    chosen = recipe(recency_half_life="30d", logistic_regression={"C": 1e-05, "tol": 0.1}).with_parameters({"C": 2.5})
    assert Recipe.model_validate_json(chosen.model_dump_json()) == chosen
