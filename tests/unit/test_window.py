"""Windows of dates as of a date."""

from datetime import date

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from champion.table.window import Window


def test_the_default_case_of_the_loans() -> None:
    window = Window.of(date(2010, 1, 1), horizon_months=36, window_months=72)
    assert window == Window(date(2001, 1, 1), date(2007, 1, 1))
    assert window.last(12) == date(2006, 1, 1)


def test_without_a_horizon_the_window_ends_at_as_of() -> None:
    assert Window.of(date(2010, 1, 1), 0, 1) == Window(date(2009, 12, 1), date(2010, 1, 1))


def test_a_month_that_is_too_short_ends_on_its_last_day() -> None:
    assert Window.of(date(2010, 3, 31), 1, 12) == Window(date(2009, 2, 28), date(2010, 2, 28))


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 240), st.integers(1, 240), st.integers(1, 240))
def test_every_deadline_of_the_window_has_passed_at_as_of(
    as_of: date, horizon: int, months: int, test_months: int
) -> None:
    window = Window.of(as_of, horizon, months)
    last_day = window.end - relativedelta(days=1)
    assert window.start < window.end
    assert last_day + relativedelta(months=horizon) < as_of
    assert window.last(test_months) < window.end


@pytest.mark.parametrize("months", [1, 1200])
def test_the_longest_window_before_the_earliest_as_of_has_dates(months: int) -> None:
    assert Window.of(date(1000, 1, 1), 1200, months).start.year >= 1
