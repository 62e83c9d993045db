"""The labels of answered rows, as far as they are known."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from champion.table.window import Length, offset, shift

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Labels:
    """What the outcomes say of rows, by the definition of training.

    All events up to `complete_through`, the day included, have been said; None while nobody said a day. Without a
    `horizon`, which is then None or 0, an event counts whenever it comes.
    """

    complete_through: date | None
    horizon: Length | None

    def of(self, day: date, event: date | None) -> bool | None:
        """Whether a row of this day has label 1; None while that is not known.

        The label is 1 if the event comes less than the horizon after the day. Until all events of that time are known,
        it counts as unknown, even if the event came: else the newest rows with a label would all have label 1.
        """
        if self.complete_through is None:
            return None
        end = day + timedelta(days=1) if self._is_open else shift(day, self.horizon or 0, 1)
        if end > self.complete_through + timedelta(days=1):
            return None
        return event is not None and (self._is_open or event < end)

    def of_rows(self, day: "pl.Expr", event: "pl.Expr") -> "pl.Expr":
        """The same for rows of a table."""
        import polars as pl

        if self.complete_through is None:
            return pl.lit(None, pl.Boolean)
        end = day.dt.offset_by("1d" if self._is_open else offset(self.horizon or 0))
        happened = event.is_not_null() if self._is_open else (event < end).fill_null(False)
        return pl.when(end <= self.complete_through + timedelta(days=1)).then(happened)

    @property
    def _is_open(self) -> bool:
        return self.horizon in (None, 0, "0d")
