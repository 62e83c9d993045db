"""Lengths of time, and the dates of a dataset: when models are made, which rows they learn from and are tested on."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Self

from dateutil.relativedelta import relativedelta
from pydantic import BeforeValidator

# The rehearsals that choose a model, and those that are shown: so few that all have a similar market.
REHEARSALS = 4
LONGEST_MONTHS, LONGEST_DAYS = 1200, 36_500
DAYS = re.compile(r"(\d{1,6})d")


def _quoted_date(value: Any) -> date:
    try:
        day = date.fromisoformat(value)
    except TypeError:
        # DVC cannot track a YAML date.
        raise ValueError('write the date in quotes, such as "2010-01-01"') from None
    except ValueError:
        raise ValueError(f'{value!r} is not a date such as "2010-01-01"') from None
    if day.year < 1500:
        # Horizon, window and test have up to 100 years each, and the first window must begin after year 0.
        raise ValueError(f"{value!r} is before the year 1500")
    return day


def parse_length(value: Any) -> int | str:
    """A number of months, or a number of days such as `30d`. Raises a `ValueError` for anything else."""
    found = DAYS.fullmatch(value) if isinstance(value, str) else None
    number = int(found[1]) if found else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError("give a number of months, such as 24, or of days, such as `30d`")
    if number > (LONGEST_DAYS if found else LONGEST_MONTHS):
        raise ValueError("a length of time has at most 100 years")
    return value if found is None else f"{number}d"


def _not_zero(value: Any) -> int | str:
    length = parse_length(value)
    if length in (0, "0d"):
        raise ValueError("the length must be at least one month or one day")
    return length


AsOf = Annotated[date, BeforeValidator(_quoted_date)]
# Months as a number, or days as text such as `30d`.
Length = Annotated[int | str, BeforeValidator(parse_length)]
PositiveLength = Annotated[int | str, BeforeValidator(_not_zero)]


def shift(day: date, length: Length, times: int) -> date:
    """The date that many lengths later; earlier if `times` is negative."""
    if isinstance(length, int):
        return day + relativedelta(months=times * length)
    return day + relativedelta(days=times * int(length.removesuffix("d")))


def offset(length: Length) -> str:
    """The length as Polars reads it."""
    return f"{length}mo" if isinstance(length, int) else length


@dataclass(frozen=True)
class Period:
    """The days from `start` to the day before `end`."""

    start: date
    end: date


@dataclass(frozen=True)
class Calendar:
    """The dates of a table with dates. A model that is made at a date knows only what was known before this date.

    The label of a row is known from the row's date plus `horizon` on. A model learns from rows with a known label, the
    oldest of which is `horizon` plus `window` before its date. `test` is the length of a test, and of what is newest.
    """

    as_of: date
    horizon: Length
    window: Length
    test: Length

    @classmethod
    def parse(cls, described: dict[str, Any]) -> Self:
        """The calendar that `describe` wrote."""
        return cls(**described | {"as_of": date.fromisoformat(described["as_of"])})

    def describe(self) -> dict[str, Any]:
        """The calendar as JSON."""
        return {"as_of": str(self.as_of), "horizon": self.horizon, "window": self.window, "test": self.test}

    @property
    def split(self) -> date:
        """When the judged model is made: the test rows begin here, and all of their labels are known at `as_of`."""
        return shift(shift(self.as_of, self.horizon, -1), self.test, -1).replace(day=1)

    @property
    def start(self) -> date:
        """The date of the oldest row that any model or rehearsal needs."""
        return self.first_trained(self.choosing(self.split)[0])

    @property
    def period(self) -> Period:
        """The days of all rows that any model or rehearsal needs."""
        return Period(self.start, self.as_of)

    def first_trained(self, day: date) -> date:
        """The date of the oldest row from which a model made that day learns."""
        return shift(shift(day, self.horizon, -1), self.window, -1)

    def first_new(self, day: date) -> date:
        """The date of the oldest row that is new that day."""
        return shift(day, self.test, -1)

    def end_of_test(self, day: date) -> date:
        """The date after the last row that tests a model made that day."""
        return shift(day, self.test, 1)

    def known(self, day: date) -> date:
        """The date from which all labels of that test are known."""
        return shift(self.end_of_test(day), self.horizon, 1)

    def choosing(self, day: date) -> list[date]:
        """The latest rehearsals, oldest first, whose labels were all known that day: they choose the recipe."""
        last = shift(day, self.horizon, -1)
        return [shift(last, self.test, -times) for times in range(REHEARSALS, 0, -1)]

    @property
    def shown(self) -> list[date]:
        """The latest rehearsals before the test, oldest first: they show how much results vary."""
        return [shift(self.split, self.test, -times) for times in range(REHEARSALS, 0, -1)]
