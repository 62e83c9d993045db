"""The columns that params.yaml declares, their roles and types, and when the label is 1."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from champion.core.strict_yaml import Section, did_you_mean, in_order
from champion.table.window import Length

if TYPE_CHECKING:
    import polars as pl

ColumnType = Literal["integer", "number", "category", "boolean", "date"]
Role = Literal["feature", "label", "known", "id", "date", "group", "segment", "ignore"]
# Roles that no two columns have.
SINGLE: tuple[Role, ...] = ("known", "id", "date", "group")

# The column of 0 and 1 that prepare makes from the label. In brackets, as no table has a column of that name.
TARGET = "(target)"
# The column with the number of the fold that tests a row, in a table without dates.
FOLD = "(fold)"


class Column(Section):
    """One column. A value outside `values` or `range` is invalid: validate counts it, prepare makes it missing.

    Rows that stand together, such as the loans of one lender, have the same `group`. A `segment` is for reports. Both
    are features too if `feature` is set. `known` is false where the source does not know the outcome.
    """

    type: ColumnType
    role: Role = "feature"
    feature: bool = False
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
        if self.feature and self.role not in ("group", "segment"):
            raise ValueError("`feature` is for a column with the role group or segment")
        if self.is_feature and self.type == "date":
            raise ValueError("a date cannot be a feature; give it the role date, label or ignore")
        if self.role == "known" and self.type != "boolean":
            raise ValueError("the column with the role known needs the type boolean")
        return self

    @property
    def is_feature(self) -> bool:
        """Whether models see the column."""
        return self.role == "feature" or self.feature


class Columns(dict[str, Column]):
    """The columns in the table's order, with lookups by role."""

    def named(self, role: Role) -> list[str]:
        """Names of the columns that have the role, in order."""
        return [name for name, column in self.items() if column.role == role]

    def only(self, role: Role) -> str | None:
        """Name of the one column that has the role, or None."""
        return next(iter(self.named(role)), None)

    @property
    def features(self) -> list[str]:
        """Names of the columns that models see, in order."""
        return [name for name, column in self.items() if column.is_feature]

    @property
    def label(self) -> str:
        """Name of the label column."""
        return self.named("label")[0]


class Label(Section):
    """When the label is 1.

    `event`: the label column is a date; the label is 1 if this date is less than `horizon` after the row's own date.
    `value`: the label is 1 if the column holds one of `positive`, and 0 for the one other value. If there are several,
    `negative` lists those that are 0; a row with any other value has no label.
    Both are known from `horizon` after the row's date on, never earlier.
    """

    kind: Literal["event", "value"]
    horizon: Length = 0
    positive: tuple[str | bool | int, ...] = Field(default=(), strict=False)
    negative: tuple[str | bool | int, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "event" and (self.horizon in (0, "0d") or self.positive or self.negative):
            raise ValueError("an event label needs a `horizon`, no `positive` and no `negative`")
        if self.kind == "value" and not self.positive:
            raise ValueError("a value label needs `positive`, the values that count as 1")
        both = [value for value in self.positive if value in self.negative]
        if both:
            raise ValueError(f"{both[0]!r} cannot be both `positive` and `negative`")
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
    for role in SINGLE:
        if roles.count(role) > 1:
            raise ValueError(f"columns: at most one column can have the role {role}, found {roles.count(role)}")
    if not any(column.is_feature for column in columns.values()):
        raise ValueError("columns: no column has the role feature")
    if any(column.role == "date" and column.type != "date" for column in columns.values()):
        raise ValueError("columns: the column with the role date needs the type date")
    for name in columns:
        check_name(name)


def check_name(name: str) -> None:
    """Raise a `ValueError` for a name that no column can have."""
    if not name:
        raise ValueError("columns: a column has no name; give it one, in the table too")
    if name in (TARGET, FOLD):
        raise ValueError(f"columns: prepare makes a column `{name}` itself; rename yours")
    # Polars would take it for all columns that it matches.
    if name == "*" or (name.startswith("^") and name.endswith("$")):
        raise ValueError(f"columns: `{name}` stands for a pattern of names; rename the column")


def check_label(columns: Columns, label: Label) -> None:
    """Raise a `ValueError` when the label cannot be read from its column."""
    column = columns[columns.label]
    if label.kind == "event" and not (columns.only("date") is not None and column.type == "date"):
        raise ValueError("label: an event label needs a column with the role date and a label column of type date")
    if label.kind == "value" and column.type == "date":
        raise ValueError("label: a value label cannot be read from a label column of type date")
    if label.kind == "value" and column.type != "category":
        _check_numbers("positive", label.positive, column.type)
        _check_numbers("negative", label.negative, column.type)


def check_known(names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise a `ValueError` naming the first unknown column, and the nearest known one."""
    for name in names:
        if name not in set(known):
            raise ValueError(f"{where}.{name}: no such column{did_you_mean(name, known)}")


def _check_numbers(key: str, values: Iterable[str | bool | int], column_type: ColumnType) -> None:
    for value in values:
        try:
            float(value)
        except ValueError:
            raise ValueError(
                f"label: `{key}` holds {value!r}, but the label column has the type {column_type}"
            ) from None
