"""The target, and that nothing after the horizon or after `as_of` can change it."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from champion.pipeline.prepare.labels import label_rows
from champion.table.columns import TARGET, Column, Columns, ColumnType, Label
from champion.table.window import Window

EVENTS = Columns({"opened": Column(type="date", role="date"), "failed": Column(type="date", role="label")})
DAYS = st.dates(date(1990, 1, 1), date(2020, 12, 31))


def event_labels(opened: list[date | None], failed: list[date | None], months: int) -> list[int | None]:
    table = pl.DataFrame({"opened": opened, "failed": failed}, schema={"opened": pl.Date, "failed": pl.Date})
    return table.select(label_rows(EVENTS, Label(kind="event", horizon_months=months)))[TARGET].to_list()


def value_labels(values: list[Any], column_type: ColumnType, dtype: Any, *positive: Any) -> list[int | None]:
    columns = Columns({"outcome": Column(type=column_type, role="label")})
    table = pl.DataFrame({"outcome": values}, schema={"outcome": dtype})
    return table.select(label_rows(columns, Label(kind="value", positive=positive)))[TARGET].to_list()


def test_an_event_counts_up_to_the_horizons_last_day() -> None:
    opened = date(2000, 1, 31)
    days = [date(2000, 2, 29), date(2000, 3, 1), None, opened, date(1999, 12, 31)]
    assert event_labels([opened] * 5, days, 1) == [1, 0, 0, 1, 1]


def test_a_row_without_its_own_date_has_no_event_label() -> None:
    assert event_labels([None, None], [date(2000, 1, 1), None], 1) == [None, None]


@given(st.lists(st.tuples(DAYS, st.none() | DAYS), min_size=1), st.integers(1, 60), st.data())
def test_changing_events_after_the_horizon_changes_no_label(
    rows: list[tuple[date, date | None]], months: int, data: st.DataObject
) -> None:
    opened = [day for day, _ in rows]
    changed = []
    for day, event in rows:
        after = day + relativedelta(months=months) + timedelta(days=1)
        later = event is None or event >= after
        changed.append(data.draw(st.none() | st.dates(after, date(2100, 1, 1))) if later else event)
    assert event_labels(opened, changed, months) == event_labels(opened, [event for _, event in rows], months)


@given(DAYS, st.integers(1, 60), st.integers(1, 60), st.data())
def test_labels_of_the_window_are_known_at_as_of(as_of: date, horizon: int, months: int, data: st.DataObject) -> None:
    window = Window.of(as_of, horizon, months)
    opened = data.draw(st.lists(st.dates(window.start, window.end - timedelta(days=1)), min_size=1))
    failed = [data.draw(st.none() | st.dates(day, date(2100, 1, 1))) for day in opened]
    seen = [None if day is None or day >= as_of else day for day in failed]
    assert event_labels(opened, seen, horizon) == event_labels(opened, failed, horizon)


@pytest.mark.parametrize(
    ("values", "column_type", "dtype", "positive"),
    [
        (["bad", "good", None], "category", pl.String, ["bad"]),
        (["1", "0", None], "category", pl.String, [1]),
        ([1, 0, None], "integer", pl.Int64, [1]),
        ([1, 0, None], "integer", pl.Int64, ["1"]),
        ([2.0, 0.5, None], "number", pl.Float64, [2]),
        ([True, False, None], "boolean", pl.Boolean, [True]),
        ([True, False, None], "boolean", pl.Boolean, [1]),
        ([False, True, None], "boolean", pl.Boolean, [False]),
    ],
)
def test_a_value_label_is_1_for_positive_values_and_unknown_for_missing_ones(
    values: list[Any], column_type: ColumnType, dtype: Any, positive: list[Any]
) -> None:
    assert value_labels(values, column_type, dtype, *positive) == [1, 0, None]


def test_several_values_can_be_positive() -> None:
    assert value_labels(["late", "lost", "paid"], "category", pl.String, "late", "lost") == [1, 1, 0]


def test_the_target_is_a_small_integer_of_a_fixed_name() -> None:
    table = pl.DataFrame({"opened": [date(2000, 1, 1)], "failed": [date(2000, 1, 2)]})
    assert table.select(label_rows(EVENTS, Label(kind="event", horizon_months=1))).schema == {TARGET: pl.Int8}
