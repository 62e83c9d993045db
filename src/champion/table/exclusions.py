"""Rules for rows that are no case of the model, such as another product: ingest leaves them out."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

import polars as pl
from pydantic import Field, model_validator

from champion.core.strict_yaml import Section, in_order
from champion.table.columns import Columns, check_known

Value = str | bool | int | float


class Bounds(Section):
    """Values strictly above or below a bound, or both."""

    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("give `above`, `below` or both")
        in_order((self.above, self.below), "above")
        return self


# The conditions of a rule by column. A row is excluded if it meets all conditions of one rule.
Rule = Annotated[dict[str, Bounds | Value], Field(min_length=1)]
Exclusions = dict[str, Rule]


def check_exclusions(exclusions: Mapping[str, Rule], columns: Columns) -> None:
    """Raise a `ValueError` naming a column that no condition can use: not read, an outcome, or of another type."""
    read = {name: column for name, column in columns.items() if column.role != "ignore"}
    for rule, conditions in exclusions.items():
        check_known(conditions, read, f"ingest.exclude.{rule}")
        for name, condition in conditions.items():
            if read[name].role in ("label", "known"):
                raise ValueError(
                    f"ingest.exclude.{rule}.{name}: a new row has no outcome yet, so no rule can read it. Rows without "
                    "an outcome need no rule: give the column that tells them the role known"
                )
            kind = read[name].type
            fits = {
                "category": isinstance(condition, str),
                "boolean": isinstance(condition, bool),
                "date": False,
            }.get(kind, isinstance(condition, Bounds | int | float) and not isinstance(condition, bool))
            if not fits:
                raise ValueError(f"ingest.exclude.{rule}.{name}: the condition does not fit the type {kind}")


def describe_exclusions(exclusions: Mapping[str, Rule]) -> dict[str, dict[str, Any]]:
    """The rules as JSON."""
    return {
        rule: {
            name: condition.model_dump(exclude_none=True) if isinstance(condition, Bounds) else condition
            for name, condition in conditions.items()
        }
        for rule, conditions in exclusions.items()
    }


def meets(conditions: Rule) -> pl.Expr:
    """True for a row that meets all conditions; a missing value meets none."""
    return pl.all_horizontal(_meets(pl.col(name), condition) for name, condition in conditions.items()).fill_null(False)


def _meets(value: pl.Expr, condition: Bounds | Value) -> pl.Expr:
    if not isinstance(condition, Bounds):
        return value == condition
    above = value > condition.above if condition.above is not None else pl.lit(True)
    return above & (value < condition.below if condition.below is not None else pl.lit(True))
