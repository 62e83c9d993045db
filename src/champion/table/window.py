"""Which dates a dataset covers that is built as of a date."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Self

from dateutil.relativedelta import relativedelta
from pydantic import BeforeValidator, Field


def _quoted_date(value: Any) -> date:
    try:
        day = date.fromisoformat(value)
    except TypeError:
        # DVC cannot track a YAML date.
        raise ValueError('write the date in quotes, such as "2010-01-01"') from None
    except ValueError:
        raise ValueError(f'{value!r} is not a date such as "2010-01-01"') from None
    if day.year < 1000:
        # Horizon and window have up to 100 years each, and the window must begin after year 0.
        raise ValueError(f"{value!r} is before the year 1000")
    return day


AsOf = Annotated[date, BeforeValidator(_quoted_date)]
Months = Annotated[int, Field(ge=1, le=1200)]


@dataclass(frozen=True)
class Window:
    """Dates from `start` (included) to `end` (excluded)."""

    start: date
    end: date

    @classmethod
    def of(cls, as_of: date, horizon_months: int, window_months: int) -> Self:
        """The last `window_months` whose labels are all known at `as_of`; they end one horizon before `as_of`."""
        end = as_of - relativedelta(months=horizon_months)
        return cls(end - relativedelta(months=window_months), end)

    def last(self, months: int) -> date:
        """The first date of the window's last `months`."""
        return self.end - relativedelta(months=months)
