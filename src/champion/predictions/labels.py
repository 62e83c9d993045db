"""The labels of answered rows, as far as they are known."""

from dataclasses import dataclass
from datetime import date, timedelta

from champion.table.window import Length, shift


@dataclass(frozen=True)
class Labels:
    """What the outcomes say of rows, by the definition of training.

    All events up to `complete_through`, the day included, have been said; None while nobody said a day. Without a
    `horizon`, an event counts whenever it comes.
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
        end = day + timedelta(days=1) if self.horizon is None else shift(day, self.horizon, 1)
        if end > self.complete_through + timedelta(days=1):
            return None
        return event is not None and (self.horizon is None or event < end)
