"""Prepared rows in the form that a model reads, and which of them belong to a rehearsal."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from champion.core.files import read_json, read_parquet
from champion.core.layout import SCHEMA
from champion.table.columns import FOLD, TARGET
from champion.table.features import Feature, parse_features, to_frame
from champion.table.keys import group_keys
from champion.table.window import REHEARSALS, Calendar, offset

if TYPE_CHECKING:
    import pandas as pd

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Schema:
    """What the prepared columns are; `calendar` is None for a table without dates."""

    features: list[Feature]
    calendar: Calendar | None
    date: str | None
    group: str | None
    segments: list[str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """The schema that prepare wrote. Raises `UserError` when the file is missing or unreadable."""
        content = read_json(path)
        calendar = content["calendar"]
        return cls(
            parse_features(content["features"]),
            None if calendar is None else Calendar.parse(calendar),
            content["date"],
            content["group"],
            content["segments"],
        )


@dataclass(frozen=True)
class Rehearsal:
    """A model's life rehearsed: it learns from the rows known at a date, and is tested on the rows after.

    `name` is the date; without dates, the number of the fold.
    """

    name: str
    train: Mask
    test: Mask


@dataclass(frozen=True)
class Dataset:
    """A part of the prepared data: all its columns, and the target as an array of 0 and 1."""

    rows: pl.DataFrame
    schema: Schema

    @classmethod
    def read(cls, path: Path) -> Self:
        """A part that prepare wrote. Raises `UserError` when a file is missing or unreadable."""
        return cls(read_parquet(path), Schema.read(SCHEMA))

    @property
    def features(self) -> list[Feature]:
        """The columns that models see."""
        return self.schema.features

    @property
    def frame(self) -> "pd.DataFrame":
        """Features as a pandas frame, one column each; missing is NaN."""
        return to_frame(self.rows, self.features)

    @property
    def target(self) -> NDArray[np.int8]:
        """The label, shape (rows,)."""
        return self.rows[TARGET].to_numpy()

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """The number of each row's group, shape (rows,); None if the table declares no group."""
        if self.schema.group is None:
            return None
        numbered = pl.DataFrame({"group": self.rows[self.schema.group], "row": np.arange(self.rows.height)})
        return np.unique(group_keys(numbered, "group", ["row"]), return_inverse=True)[1]

    def only(self, rows: Mask) -> Self:
        """Those rows."""
        return replace(self, rows=self.rows.filter(rows))

    def trained(self, day: date) -> Mask:
        """The rows from which a model made that day learns, shape (rows,)."""
        calendar, when = self._dates()
        known = when.dt.offset_by(offset(calendar.horizon)) <= day
        # Without a horizon, a label is known on the row's date, but a row of that day is new.
        return self._mask(known & when.is_between(calendar.first_trained(day), day, closed="left"))

    @property
    def judged(self) -> Self:
        """Of the rows known at the split date, those from which the judged model learns: without dates all of them."""
        calendar = self.schema.calendar
        return self if calendar is None else self.only(self.trained(calendar.split))

    def rehearsals(self, days: Iterable[date]) -> list[Rehearsal]:
        """The rehearsals at these dates. One whose training or test rows have no or only one class does not count."""
        calendar, when = self._dates()
        found = [
            Rehearsal(
                str(day),
                self.trained(day),
                self._mask(when.is_between(day, calendar.end_of_test(day), closed="left")),
            )
            for day in days
        ]
        return [one for one in found if self._has_classes(one)]

    def folds(self) -> list[Rehearsal]:
        """The same without dates: prepare gave each row a fold that tests it."""
        fold = self.rows[FOLD].to_numpy()
        found = [Rehearsal(str(number), fold != number, fold == number) for number in range(REHEARSALS)]
        return [one for one in found if self._has_classes(one)]

    def _dates(self) -> tuple[Calendar, pl.Expr]:
        if self.schema.calendar is None or self.schema.date is None:
            raise ValueError("the table has no dates")
        return self.schema.calendar, pl.col(self.schema.date)

    def _mask(self, condition: pl.Expr) -> Mask:
        return self.rows.select(condition).to_series().to_numpy()

    def _has_classes(self, one: Rehearsal) -> bool:
        return all(len(np.unique(self.target[rows])) == 2 for rows in (one.train, one.test))
