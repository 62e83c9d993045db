"""Rules for rows that are no case of the model, such as another product: ingest leaves them out."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

import polars as pl
from pydantic import Field, TypeAdapter, model_validator

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
        unread = next((name for name in conditions if name in columns and name not in read), None)
        if unread is not None:
            raise ValueError(
                f"ingest.exclude.{rule}.{unread}: a column with the role ignore is not read. Give it the role segment"
            )
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


def parse_exclusions(described: Mapping[str, Any]) -> Exclusions:
    """The rules that `describe_exclusions` wrote. Raises a `ValueError` for anything else."""
    return TypeAdapter(Exclusions).validate_python(described)


def excluding_rule(exclusions: Mapping[str, Rule]) -> pl.Expr:
    """The name of the first rule that a row meets, null if it meets none. A missing value meets no condition.

    Each column must have values of its type: a boolean may also be 0 or 1, a category also a whole number.
    """
    if not exclusions:
        return pl.repeat(None, pl.len(), dtype=pl.String)
    return pl.coalesce(pl.when(_meets_all(conditions)).then(pl.lit(rule)) for rule, conditions in exclusions.items())


def excluding_rule_of_row(values: Mapping[str, Any], exclusions: Mapping[str, Rule]) -> str | None:
    """The same for one row, given as Python values by name: equal to `excluding_rule` in a one-row table.

    A value that is absent or of another type meets no condition.
    """
    for rule, conditions in exclusions.items():
        for name, condition in conditions.items():
            if not _value_meets(values.get(name), condition):
                break
        else:
            return rule
    return None


def _meets_all(conditions: Rule) -> pl.Expr:
    return pl.all_horizontal(_meets(pl.col(name), condition) for name, condition in conditions.items())


def _meets(value: pl.Expr, condition: Bounds | Value) -> pl.Expr:
    if isinstance(condition, str):
        return value.cast(pl.String) == condition
    # Polars takes NaN, which stands for a missing number, to be above every bound.
    number = value.cast(pl.Float64).fill_nan(None)
    if not isinstance(condition, Bounds):
        return number == float(condition)
    above = number > condition.above if condition.above is not None else pl.lit(True)
    return above & (number < condition.below if condition.below is not None else pl.lit(True))


def _value_meets(value: Any, condition: Bounds | Value) -> bool:
    if isinstance(condition, str):
        if isinstance(value, bool):
            value = "true" if value else "false"
        return condition == (str(value) if isinstance(value, int) else value)
    if not isinstance(value, int | float):
        return False
    number = _as_float(value)
    if isinstance(condition, int | float):
        return number == float(condition)
    return not math.isnan(number) and not (
        (condition.above is not None and not number > condition.above)
        or (condition.below is not None and not number < condition.below)
    )


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        # An integer beyond all floats.
        return math.inf if value > 0 else -math.inf
