"""The target, and that nothing after the horizon or after `as_of` can change it."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.pipeline.prepare.labels import label_rows
from champion.table.columns import TARGET, Column, Columns, ColumnType, Label
from champion.table.window import Length, shift

DATED = {"opened": Column(type="date", role="date"), "failed": Column(type="date", role="label")}
EVENTS = Columns(DATED)
KNOWN = Columns(DATED | {"finished": Column(type="boolean", role="known")})
DAYS = st.dates(date(1990, 1, 1), date(2020, 12, 31))
LENGTHS = st.integers(1, 60) | st.integers(1, 900).map("{}d".format)
LATER = date(2100, 1, 1)


def event_labels(
    opened: list[date | None], failed: list[date | None], horizon: Length, as_of: date = LATER
) -> list[int | None]:
    table = pl.DataFrame({"opened": opened, "failed": failed}, schema={"opened": pl.Date, "failed": pl.Date})
    return table.select(label_rows(EVENTS, Label(kind="event", horizon=horizon), as_of))[TARGET].to_list()


def value_labels(values: list[Any], column_type: ColumnType, dtype: Any, *positive: Any) -> list[int | None]:
    columns = Columns({"outcome": Column(type=column_type, role="label")})
    table = pl.DataFrame({"outcome": values}, schema={"outcome": dtype})
    return table.select(label_rows(columns, Label(kind="value", positive=positive), None))[TARGET].to_list()


def test_an_event_counts_before_the_horizons_last_day() -> None:
    opened = date(2000, 1, 31)
    days = [date(2000, 2, 28), date(2000, 2, 29), None, opened, date(1999, 12, 31)]
    assert event_labels([opened] * 5, days, 1) == [1, 0, 0, 1, 1]
    assert event_labels([opened] * 2, [date(2000, 2, 1), date(2000, 2, 2)], "2d") == [1, 0]


def test_a_row_without_its_own_date_has_no_event_label() -> None:
    assert event_labels([None, None], [date(2000, 1, 1), None], 1) == [None, None]


@pytest.mark.parametrize(("as_of", "label"), [(date(2002, 1, 1), 1), (date(2001, 12, 31), None)])
def test_an_event_is_unknown_until_the_horizon_even_if_it_came_sooner(as_of: date, label: int | None) -> None:
    assert event_labels([date(2000, 1, 1)], [date(2000, 1, 2)], 24, as_of) == [label]


@pytest.mark.parametrize(("as_of", "labels"), [(date(2002, 1, 1), [1, 0]), (date(2001, 12, 31), [None, None])])
def test_a_value_is_unknown_until_the_horizon(as_of: date, labels: list[int | None]) -> None:
    columns = Columns({"opened": Column(type="date", role="date"), "outcome": Column(type="category", role="label")})
    table = pl.DataFrame({"opened": [date(2000, 1, 1)] * 2, "outcome": ["bad", "good"]})
    label = Label(kind="value", positive=("bad",), horizon=24)
    assert table.select(label_rows(columns, label, as_of))[TARGET].to_list() == labels


def test_a_row_whose_outcome_the_source_does_not_know_has_no_label() -> None:
    opened = [date(2000, 1, 1)] * 6
    failed = [date(2000, 2, 1), None] * 3
    table = pl.DataFrame({"opened": opened, "failed": failed, "finished": [True, True, False, False, None, None]})
    labels = table.select(label_rows(KNOWN, Label(kind="event", horizon=24), LATER))[TARGET]
    assert labels.to_list() == [1, 0, None, None, None, None]


@given(st.lists(st.tuples(DAYS, st.none() | DAYS), min_size=1), LENGTHS, st.data())
def test_changing_events_after_the_horizon_changes_no_label(
    rows: list[tuple[date, date | None]], horizon: Length, data: st.DataObject
) -> None:
    opened = [day for day, _ in rows]
    changed = []
    for day, event in rows:
        end = shift(day, horizon, 1)
        later = event is None or event >= end
        changed.append(data.draw(st.none() | st.dates(end, LATER)) if later else event)
    assert event_labels(opened, changed, horizon) == event_labels(opened, [event for _, event in rows], horizon)


@given(DAYS, LENGTHS, st.data())
def test_changing_events_from_as_of_on_changes_no_label(as_of: date, horizon: Length, data: st.DataObject) -> None:
    opened = data.draw(st.lists(st.dates(date(1980, 1, 1), as_of - timedelta(days=1)), min_size=1))
    failed = [data.draw(st.none() | st.dates(day, LATER)) for day in opened]
    seen = [None if day is None or day >= as_of else day for day in failed]
    assert event_labels(opened, seen, horizon, as_of) == event_labels(opened, failed, horizon, as_of)


@given(st.lists(st.tuples(DAYS, st.none() | DAYS), min_size=1), LENGTHS, DAYS, DAYS)
def test_a_known_label_never_changes_later(
    rows: list[tuple[date, date | None]], horizon: Length, one: date, other: date
) -> None:
    earlier, later = (event_labels(*map(list, zip(*rows, strict=True)), horizon, day) for day in sorted((one, other)))
    assert all(before in (None, after) for before, after in zip(earlier, later, strict=True))


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
    assert table.select(label_rows(EVENTS, Label(kind="event", horizon=1), LATER)).schema == {TARGET: pl.Int8}
