"""The sections of params.yaml that describe the table; several stages read them."""

from typing import Self

from pydantic import model_validator

from champion.core.strict_yaml import Sections
from champion.table.columns import Column, Columns, Label, check_label, check_roles
from champion.table.window import AsOf, Months, Window


class TableParams(Sections):
    """What each column is, when the label is 1, and which dates the dataset covers."""

    as_of: AsOf | None
    columns: dict[str, Column]
    label: Label
    window_months: Months | None

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        check_roles(self.columns)
        check_label(self.table, self.label)
        dated = self.table.only("date") is not None
        for key in ("as_of", "window_months"):
            if dated != (getattr(self, key) is not None):
                fix = "set it" if dated else "set it to null"
                raise ValueError(f"{key}: the table has {'a' if dated else 'no'} column with the role date, so {fix}")
        return self

    @property
    def table(self) -> Columns:
        """The declared columns, with lookups by role."""
        return Columns(self.columns)

    @property
    def window(self) -> Window | None:
        """The dates that the dataset covers; None for a table without dates."""
        if self.as_of is None or self.window_months is None:
            return None
        return Window.of(self.as_of, self.label.horizon_months, self.window_months)
