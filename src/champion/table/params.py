"""The sections of params.yaml that describe the table; several stages read them."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from champion.core.strict_yaml import Section, Sections
from champion.table.columns import Column, Columns, Label, check_label, check_roles
from champion.table.window import AsOf, Calendar, PositiveLength


class Split(Section):
    """Which rows are the test: the latest `test` of those with a known label; without dates, a share of the rows."""

    test: PositiveLength | None = None
    test_share: Annotated[float, Field(gt=0, lt=1)] | None = None


class TableParams(Sections):
    """What each column is, when the label is 1, and which rows models learn from and are tested on."""

    as_of: AsOf | None
    columns: dict[str, Column]
    label: Label
    window: PositiveLength | None
    split: Split

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        check_roles(self.columns)
        check_label(self.table, self.label)
        dated = self.table.only("date") is not None
        has = f"the table has {'a' if dated else 'no'} column with the role date"
        for key in ("as_of", "window"):
            if dated != (getattr(self, key) is not None):
                raise ValueError(f"{key}: {has}, so {'set it' if dated else 'set it to null'}")
        right, wrong = ("test", "test_share") if dated else ("test_share", "test")
        if getattr(self.split, right) is None or getattr(self.split, wrong) is not None:
            raise ValueError(f"split: {has}, so give `{right}`, and not `{wrong}`")
        return self

    @property
    def table(self) -> Columns:
        """The declared columns, with lookups by role."""
        return Columns(self.columns)

    @property
    def calendar(self) -> Calendar | None:
        """The dates of the dataset; None for a table without dates."""
        if self.as_of is None or self.window is None or self.split.test is None:
            return None
        return Calendar(self.as_of, self.label.horizon, self.window, self.split.test)
