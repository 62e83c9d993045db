"""The dates of an undeclared table's models, or the share of its rows that is the test."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
from dateutil.relativedelta import relativedelta

from champion.table.columns import TARGET
from champion.table.dataset import Dataset, Schema
from champion.table.window import Calendar, Length, offset, shift

DAY = "day"
# The test is this part of the history: the first one whose rows are enough.
PARTS = (8, 6, 5, 4, 3, 2)
LEAST_ROWS, LEAST_OF_A_CLASS = 50, 10
# A shorter history is counted in days.
LEAST_MONTHS = 16
# Of so few rows, a fifth would say little.
FEW_ROWS = 2000


@dataclass(frozen=True)
class FoundSplit:
    """The sections `as_of`, `window` and `split`; how many rehearsals or folds choose a recipe, and the test's rows.

    `test_days` are the first and the last day of the test's rows, None without dates.
    """

    sections: dict[str, Any]
    rehearsals: int
    test_rows: int
    test_days: tuple[date, date] | None = None


def split_by_share(rows: int) -> FoundSplit:
    """The split of a table without dates."""
    share = 0.3 if rows < FEW_ROWS else 0.2
    return FoundSplit({"as_of": None, "window": None, "split": {"test_share": share}}, 4, round(rows * share))


def split_by_date(when: pl.Series, target: pl.Series, horizon: Length, events: pl.Series | None) -> FoundSplit | None:
    """The split of a table with dates, None if its history is too short; `events` are the dates of an event label.

    The judged model learns from all rows before the test.
    """
    latest: date = when.max()  # type: ignore[assignment]
    if events is not None:
        # The table knows the events up to the last one; later than this, nothing is known of the rows.
        last_event: date = events.max()  # type: ignore[assignment]
        latest = max(latest, min(last_event, shift(latest, horizon, 1)))
    rows = pl.DataFrame({DAY: when, TARGET: target}).drop_nulls()
    if rows.is_empty():
        return None
    for calendar in _calendars(rows[DAY], horizon, latest + timedelta(days=1)):
        data = Dataset(rows, Schema([], calendar, DAY, None, []))
        known = pl.col(DAY).dt.offset_by(offset(horizon)) <= calendar.as_of
        tested = rows.filter(known & (pl.col(DAY) >= calendar.split))
        if _is_enough(data.judged.rows) and _is_enough(tested):
            sections = {
                "as_of": str(calendar.as_of),
                "window": calendar.window,
                "split": {"test": calendar.test},
            }
            days: tuple[date, date] = (tested[DAY].min(), tested[DAY].max())  # type: ignore[assignment]
            return FoundSplit(sections, len(data.rehearsals(calendar.choosing(calendar.split))), tested.height, days)
    return None


def _calendars(when: pl.Series, horizon: Length, as_of: date) -> Iterator[Calendar]:
    first: date = when.min()  # type: ignore[assignment]
    months = relativedelta(shift(as_of, horizon, -1), first)
    span, in_months = months.years * 12 + months.months + 1, True
    if span < LEAST_MONTHS:
        span, in_months = (shift(as_of, horizon, -1) - first).days, False
    for part in PARTS:
        test = max(1, span // part)
        # One more, because a test can begin up to a month earlier than its length says.
        window = max(1, span - test + (1 if in_months else 31))
        yield Calendar(as_of, horizon, *(length if in_months else f"{length}d" for length in (window, test)))


def _is_enough(rows: pl.DataFrame) -> bool:
    positives = int(rows[TARGET].sum())
    return rows.height >= LEAST_ROWS and min(positives, rows.height - positives) >= LEAST_OF_A_CLASS
