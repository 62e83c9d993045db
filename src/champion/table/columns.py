"""The columns that params.yaml declares, their roles and types, and when the label is 1."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from champion.core.strict_yaml import Section, did_you_mean, in_order

if TYPE_CHECKING:
    import polars as pl

ColumnType = Literal["integer", "number", "category", "boolean", "date"]
Role = Literal["feature", "label", "id", "date", "ignore"]

# The column of 0 and 1 that prepare makes from the label.
TARGET = "target"


class Column(Section):
    """One column. A value outside `values` or `range` is invalid: validate counts it, prepare makes it missing."""

    type: ColumnType
    role: Role = "feature"
    values: tuple[str, ...] | None = Field(default=None, strict=False)
    range: tuple[float | None, float | None] | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _fits_type(self) -> Self:
        if self.values is not None and self.type != "category":
            raise ValueError("`values` is for a column of type category")
        if self.range is not None and self.type not in ("integer", "number"):
            raise ValueError("`range` is for a column of type integer or number")
        if self.range is not None:
            in_order(self.range, "range")
        if self.role == "feature" and self.type == "date":
            raise ValueError("a date cannot be a feature; give it the role date, label or ignore")
        return self


class Columns(dict[str, Column]):
    """The columns in the table's order, with lookups by role."""

    def named(self, role: Role) -> list[str]:
        """Names of the columns that have the role, in order."""
        return [name for name, column in self.items() if column.role == role]

    def only(self, role: Role) -> str | None:
        """Name of the one column that has the role, or None."""
        return next(iter(self.named(role)), None)

    @property
    def label(self) -> str:
        """Name of the label column."""
        return self.named("label")[0]


class Label(Section):
    """When the label is 1.

    `event`: the label column is a date; the label is 1 if it is within `horizon_months` of the row's own date.
    `value`: the label is 1 if the column holds one of `positive`; it is known `horizon_months` after the row's date.
    """

    kind: Literal["event", "value"]
    horizon_months: Annotated[int, Field(ge=0, le=1200)] = 0
    positive: tuple[str | bool | int, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "event" and (self.horizon_months == 0 or self.positive):
            raise ValueError("an event label needs `horizon_months` of at least 1 and no `positive`")
        if self.kind == "value" and not self.positive:
            raise ValueError("a value label needs `positive`, the values that count as 1")
        return self


def dtype(column_type: ColumnType) -> "pl.DataType":
    """The Polars type of a column of that type."""
    import polars as pl

    types: dict[ColumnType, pl.DataType] = {
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "category": pl.String(),
        "boolean": pl.Boolean(),
        "date": pl.Date(),
    }
    return types[column_type]


def check_roles(columns: Mapping[str, Column]) -> None:
    """Raise a `ValueError` unless one column is the label, and every other role has an allowed number of columns."""
    roles = [column.role for column in columns.values()]
    if roles.count("label") != 1:
        raise ValueError(f"columns: exactly one column needs the role label, found {roles.count('label')}")
    for role in ("id", "date"):
        if roles.count(role) > 1:
            raise ValueError(f"columns: at most one column can have the role {role}, found {roles.count(role)}")
    if "feature" not in roles:
        raise ValueError("columns: no column has the role feature")
    if any(column.role == "date" and column.type != "date" for column in columns.values()):
        raise ValueError("columns: the column with the role date needs the type date")
    if TARGET in columns:
        raise ValueError(f"columns: prepare uses the name `{TARGET}` for the label that it makes; rename the column")


def check_label(columns: Columns, label: Label) -> None:
    """Raise a `ValueError` when the label cannot be read from its column."""
    column = columns[columns.label]
    if label.kind == "event" and not (columns.only("date") is not None and column.type == "date"):
        raise ValueError("label: an event label needs a column with the role date and a label column of type date")
    if label.kind == "value" and column.type == "date":
        raise ValueError("label: a value label cannot be read from a label column of type date")
    if label.kind == "value" and column.type != "category":
        _check_numbers(label.positive, column.type)


def check_known(names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise a `ValueError` naming the first unknown column, and the nearest known one."""
    for name in names:
        if name not in set(known):
            raise ValueError(f"{where}.{name}: no such column{did_you_mean(name, known)}")


def _check_numbers(positive: Iterable[str | bool | int], column_type: ColumnType) -> None:
    for value in positive:
        try:
            float(value)
        except ValueError:
            raise ValueError(
                f"label: `positive` holds {value!r}, but the label column has the type {column_type}"
            ) from None
