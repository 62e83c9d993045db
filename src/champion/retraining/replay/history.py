"""The rows of the replay and its models: what was known on a day, and what a model of a day says."""

from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Self

import polars as pl

from champion.core.files import read_parquet
from champion.model.model import Model
from champion.model.model_file import load
from champion.retraining.replay.layout import CANDIDATES, SCHEMA, TABLE
from champion.table.columns import TARGET
from champion.table.dataset import Dataset, Schema
from champion.table.window import Calendar, offset


@dataclass(frozen=True)
class History:
    """Every row that is replayed, with its label where it is known at last; null where it never is."""

    data: Dataset

    @classmethod
    def read(cls) -> Self:
        """The table that the stage wrote. Raises `UserError` when it is missing or unreadable."""
        return cls(Dataset(read_parquet(TABLE), Schema.read(SCHEMA)))

    @property
    def when(self) -> pl.Expr:
        """The row's date."""
        return pl.col(str(self.data.schema.date))

    @property
    def known(self) -> pl.Expr:
        """The date from which the row's label is known, if it ever is."""
        return self.when.dt.offset_by(offset(self._calendar.horizon))

    def calendar_at(self, day: date) -> Calendar:
        """The dates of a training on that day."""
        return replace(self._calendar, as_of=day)

    @property
    def _calendar(self) -> Calendar:
        calendar = self.data.schema.calendar
        if calendar is None:
            raise ValueError("the table has no dates")
        return calendar

    def rows(self, condition: pl.Expr) -> Dataset:
        """The rows that meet the condition."""
        return replace(self.data, rows=self.data.rows.filter(condition))

    def between(self, first: date, end: date) -> Dataset:
        """The rows from the first date on and before the end, whether or not their label is known."""
        return self.rows(self.when.is_between(first, end, closed="left"))

    def labelled(self, day: date) -> Dataset:
        """The rows before that day whose label is known then."""
        return self.rows(pl.col(TARGET).is_not_null() & (self.known <= day) & (self.when < day))

    def trained(self, day: date) -> Dataset:
        """The rows from which a model made that day learns."""
        labelled = self.labelled(day)
        return labelled.only(labelled.trained(day))

    def newest(self, day: date) -> Dataset:
        """The rows that are new that day."""
        return self.between(self.calendar_at(day).first_new(day), day)

    def test(self, day: date) -> Dataset:
        """The rows that test a training of that day: those since its split date whose label is known."""
        return self.rows(
            pl.col(TARGET).is_not_null() & (self.known <= day) & (self.when >= self.calendar_at(day).split)
        )


@lru_cache(maxsize=16)
def model_of(day: date) -> Model:
    """The model that was made that day. Its cut is its base rate; the card has the one that decides.

    Raises `UserError` when the stage of that quarter did not run.
    """
    return load(CANDIDATES / f"{day}.skops")
