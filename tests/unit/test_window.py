"""The dates of a dataset: which rows each model learns from, and which rows test it."""

from datetime import date
from itertools import pairwise
from typing import Annotated, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from champion.table.columns import TARGET
from champion.table.dataset import Dataset, Schema
from champion.table.features import Feature
from champion.table.window import AsOf, Calendar, Length, PositiveLength, offset, shift

LOANS = Calendar(date(2011, 1, 1), horizon=24, window=36, test=12)
LENGTHS = st.integers(1, 30) | st.integers(1, 900).map("{}d".format)
CALENDARS = st.builds(
    Calendar, st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.just(0) | LENGTHS, window=LENGTHS, test=LENGTHS
)


def days(*years: int) -> list[date]:
    return [date(year, 1, 1) for year in years]


def test_the_default_case_of_the_loans() -> None:
    assert LOANS.split == date(2008, 1, 1)
    assert LOANS.choosing(LOANS.split) == days(2002, 2003, 2004, 2005)
    assert LOANS.shown == days(2004, 2005, 2006, 2007)
    assert LOANS.choosing(LOANS.as_of) == days(2005, 2006, 2007, 2008)
    assert LOANS.start == date(1997, 1, 1)
    assert LOANS.first_trained(LOANS.split) == date(2003, 1, 1)
    assert (LOANS.first_new(LOANS.split), LOANS.end_of_test(LOANS.split)) == tuple(days(2007, 2009))
    assert LOANS.known(LOANS.split) == LOANS.as_of


@pytest.mark.parametrize(
    ("as_of", "horizon", "test", "split"),
    [
        (date(2011, 1, 15), 24, 12, date(2008, 1, 1)),
        (date(2011, 3, 31), 1, 12, date(2010, 2, 1)),
        (date(2011, 1, 1), "30d", "90d", date(2010, 9, 1)),
        (date(2011, 1, 1), 0, 1, date(2010, 12, 1)),
    ],
)
def test_the_split_is_the_first_of_a_month(as_of: date, horizon: Length, test: Length, split: date) -> None:
    assert Calendar(as_of, horizon, window=12, test=test).split == split


@given(CALENDARS)
def test_a_calendar_is_read_as_it_was_written(calendar: Calendar) -> None:
    assert Calendar.parse(calendar.describe()) == calendar


@given(CALENDARS)
def test_every_test_label_is_known_at_as_of(calendar: Calendar) -> None:
    assert calendar.split.day == 1
    assert calendar.known(calendar.split) <= calendar.as_of


@given(CALENDARS, st.booleans())
def test_a_choosing_rehearsal_is_complete_that_day(calendar: Calendar, at_split: bool) -> None:
    day = calendar.split if at_split else calendar.as_of
    chosen = calendar.choosing(day)
    assert len(chosen) == 4
    assert all(calendar.known(one) <= day for one in chosen)


@given(CALENDARS)
def test_rehearsals_are_in_order_and_their_tests_do_not_overlap(calendar: Calendar) -> None:
    for rehearsals in (calendar.choosing(calendar.split), calendar.shown):
        assert all(calendar.end_of_test(one) <= later for one, later in pairwise(rehearsals))
    assert calendar.end_of_test(calendar.shown[-1]) <= calendar.split


@given(CALENDARS)
def test_no_row_before_the_start_is_needed(calendar: Calendar) -> None:
    needed = [*calendar.shown, *calendar.choosing(calendar.split), *calendar.choosing(calendar.as_of)]
    assert all(calendar.start <= calendar.first_trained(day) for day in needed)


@given(CALENDARS, st.data())
def test_a_model_learns_only_from_labels_known_at_its_date(calendar: Calendar, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.dates(calendar.start, calendar.as_of), min_size=1))
    table = pl.DataFrame({"day": rows, TARGET: [0, 1] * (len(rows) // 2) + [0] * (len(rows) % 2)})
    feature = Feature(name=TARGET, type="integer")
    dataset = Dataset(table, Schema([feature], calendar, "day", None, []))
    for day in (calendar.split, calendar.as_of, *calendar.shown):
        for row, used in zip(rows, dataset.trained(day), strict=True):
            known = shift(row, calendar.horizon, 1) <= day
            assert used == (known and calendar.first_trained(day) <= row < day)
    for rehearsal in dataset.rehearsals(calendar.shown):
        day = date.fromisoformat(rehearsal.name)
        tested = table.filter(rehearsal.test)["day"]
        assert tested.is_between(day, calendar.end_of_test(day), closed="left").all()
        assert not (rehearsal.train & rehearsal.test).any()


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), LENGTHS | st.just(0) | st.just("0d"))
def test_polars_and_python_shift_a_date_alike(day: date, length: Length) -> None:
    assert pl.Series([day]).dt.offset_by(offset(length))[0] == shift(day, length, 1)


@pytest.mark.parametrize(
    ("kind", "given_value", "read"),
    [(Length, 24, 24), (Length, "30d", "30d"), (Length, "007d", "7d"), (Length, 0, 0), (PositiveLength, 1, 1)],
)
def test_a_length_is_months_or_days(kind: Any, given_value: Any, read: Any) -> None:
    assert TypeAdapter(kind).validate_python(given_value) == read


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        *((Length, value, "give a number of months") for value in ("24", "30 d", "2y", 24.0, True, -1, "-1d", None)),
        *((PositiveLength, value, "at least one month or one day") for value in (0, "0d", "00d")),
        *((Length, value, "at most 100 years") for value in (1201, "36501d")),
        *((AsOf, value, "is not a date such as") for value in ("2010", "2010-02-30", "soon", "")),
        *((AsOf, value, "write the date in quotes") for value in (2010, date(2010, 1, 1))),
        (AsOf, "1499-12-31", "before the year 1500"),
    ],
)
def test_what_is_no_length_or_date_is_a_sentence(kind: Annotated[Any, ...], value: Any, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize("length", [1, 1200, "36500d"])
def test_the_longest_lengths_before_the_earliest_date_are_dates(length: Length) -> None:
    calendar = Calendar(date(1500, 1, 1), length, length, length)
    assert calendar.start.year >= 1
    assert calendar.known(calendar.shown[0]) > calendar.start
