"""Which dates a dataset built as of a date may see."""

from dataclasses import dataclass
from datetime import date

from dateutil.relativedelta import relativedelta


@dataclass(frozen=True)
class Window:
    """Dates from `start` (included) to `end` (excluded)."""

    start: date
    end: date


def labelled_window(as_of: date, horizon_months: int, window_months: int) -> Window:
    """The `window_months` whose labels are all known at `as_of`: they end one horizon before it."""
    end = as_of - relativedelta(months=horizon_months)
    return Window(end - relativedelta(months=window_months), end)


def holdout_start(window: Window, test_months: int) -> date:
    """The first date of the window's last `test_months`."""
    return window.end - relativedelta(months=test_months)
