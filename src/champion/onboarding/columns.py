"""The role of each column, its valid values, and how much of it is missing."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from champion.core.errors import UserError
from champion.onboarding.column_types import TypedTable
from champion.onboarding.given import Given
from champion.pipeline.validate.leaks import separation
from champion.table.columns import ColumnType, Role

# Such as customer_id, loan number and CustomerID, but not paid.
NAMED_LIKE_ID = re.compile(r"(?i:(^|[_ .-])(id|key|uuid|guid|nr|no|number)$|^id([_ .-]|$))|[a-z](Id|ID|Key|Nr)$")
NAMED_LIKE_GROUP = re.compile(r"(?i:[_ .-]id$)|[a-z](Id|ID)$")
# A feature that alone ranks as well as this is the target in another form; from `SUSPICIOUS` on, a person should look.
GIVEN_AWAY, SUSPICIOUS = 0.999, 0.9
MOST_VALUES = 20
# Rows without a date are left out, so that a line of totals does no harm.
MOST_GAPS = 0.01
LEAST_GROUPS = 20
# Texts of which so large a share is different are names or remarks.
OWN_TEXT = 0.5


@dataclass(frozen=True)
class FoundColumn:
    """A column with what was found of it. `why` says it of a role other than feature; `alone` is its ROC AUC."""

    name: str
    type: ColumnType
    role: Role
    missing: float
    distinct: int
    why: str = ""
    alone: float | None = None
    values: tuple[str, ...] | None = None
    range: tuple[float | None, float | None] | None = None

    def declare(self) -> dict[str, Any]:
        """The column as params.yaml declares it."""
        declared: dict[str, Any] = {"type": self.type}
        if self.role != "feature":
            declared["role"] = self.role
        if self.values is not None:
            declared["values"] = list(self.values)
        if self.range is not None:
            declared["range"] = list(self.range)
        return declared


def find_columns(table: TypedTable, names: list[str], given: Given, target: pl.Series) -> list[FoundColumn]:
    """Each of the table's columns; `target` is 1, 0 or null by row.

    Raises `UserError` when a column cannot have the role that is given, or nothing is left to learn from.
    """
    rows = table.rows
    columns = list(_roles(table, names, given))
    if not any(column.role == "feature" for column in columns):
        raise UserError("no column is left to learn from. Give a table with columns that say something of the target.")
    known = target.is_not_null()
    labelled, labels = rows.filter(known), target.filter(known)
    found = [
        _weigh(column, labelled[column.name], labels) if column.role == "feature" else column for column in columns
    ]
    if not any(column.role == "feature" for column in found):
        raise UserError("each column alone tells the target. Give a table of what is known before the outcome.")
    return [_with_limits(column, rows) if column.role in ("feature", "label") else column for column in found]


def _weigh(column: FoundColumn, values: pl.Series, labels: pl.Series) -> FoundColumn:
    """The feature with its ROC AUC. It is left out if it tells the target alone, and not by a value for each row."""
    alone = separation(values, labels)
    if alone >= GIVEN_AWAY and column.distinct < len(labels) / 2:
        return replace(column, alone=alone, role="ignore", why="it alone tells the target, which a leak does")
    return replace(column, alone=alone)


def _roles(table: TypedTable, names: list[str], given: Given) -> Iterator[FoundColumn]:
    rows = table.rows
    date = given.date or _find_date(table, given)
    key, group = given.id, given.group
    for name in names:
        if name in table.odd:
            if name in (given.target, given.date, given.id, given.group):
                raise UserError(f"the column {name!r} holds values of a kind that no model reads. Convert it to text.")
            yield FoundColumn(name, "category", "ignore", 0.0, 0, "its values are of a kind that is not read")
            continue
        values, kind = rows[name], table.types[name]
        missing, distinct = values.null_count() / len(values), values.drop_nulls().n_unique()
        column = FoundColumn(name, kind, "feature", missing, distinct)
        if name == given.target:
            yield replace(column, role="label")
        elif name == date:
            if kind != "date":
                raise UserError(
                    f"the column {name!r} holds no dates that are known. Correct --date, or give --date-format."
                )
            yield replace(column, role="date")
        elif name == given.id:
            yield replace(column, role="id")
        elif name == given.group:
            yield replace(column, role="group")
        elif (why := _why_ignored(column, values, given)) is not None:
            yield replace(column, role="ignore", why=why)
        elif key is None and _is_id(column, len(values)):
            key = name
            yield replace(column, role="id", why="its values are all different")
        elif group is None and _is_group(column, len(values)):
            group = name
            yield replace(column, role="group", why="its rows stand together")
        else:
            yield column


def _find_date(table: TypedTable, given: Given) -> str | None:
    """The date of a row: the one column of dates with hardly a gap, or the earliest of several in almost every row."""
    others = (given.target, given.id, given.group, *given.ignore)
    dates = [
        name
        for name, kind in table.types.items()
        if kind == "date"
        and name not in others
        and table.rows[name].null_count() <= MOST_GAPS * table.rows.height
        and table.rows[name].n_unique() > 1
    ]
    for name in dates:
        later = [int((table.rows[other] >= table.rows[name]).sum()) for other in dates if other != name]
        if all(rows > (1 - 2 * MOST_GAPS) * table.rows.height for rows in later):
            return name
    return None


def _why_ignored(column: FoundColumn, values: pl.Series, given: Given) -> str | None:
    if column.distinct == 0:
        return "it has no value"
    if column.distinct == 1:
        return "it has one value only"
    if column.type == "date":
        return "a date is no feature"
    if column.name in given.ignore:
        return "as given"
    if column.name.startswith("Unnamed: "):
        return "it has no name, so it numbers the rows"
    if column.type == "integer" and _counts_rows(values) and not NAMED_LIKE_ID.search(column.name):
        return "it numbers the rows"
    if column.type == "category" and not NAMED_LIKE_ID.search(column.name):
        given_values = len(values) - values.null_count()
        if column.distinct > max(MOST_VALUES, OWN_TEXT * given_values):
            return "most of its texts occur once"
    return None


def _counts_rows(values: pl.Series) -> bool:
    if values.null_count() or len(values) < MOST_VALUES:
        return False
    steps = values.diff().drop_nulls()
    return bool((steps == 1).all())


def _is_id(column: FoundColumn, rows: int) -> bool:
    return (
        column.type in ("integer", "category")
        and column.distinct == rows
        and not column.missing
        and (NAMED_LIKE_ID.search(column.name) is not None or column.name.lower().endswith("id"))
    )


def _is_group(column: FoundColumn, rows: int) -> bool:
    few = column.distinct < LEAST_GROUPS or column.distinct > 0.95 * rows * (1 - column.missing)
    return column.type in ("integer", "category") and not few and NAMED_LIKE_GROUP.search(column.name) is not None


def _with_limits(column: FoundColumn, rows: pl.DataFrame) -> FoundColumn:
    """The column with its valid values: those found if they are few texts, else a wide range around the numbers."""
    values = rows[column.name].drop_nulls()
    if column.type == "category" and column.distinct <= MOST_VALUES:
        return replace(column, values=tuple(sorted(values.unique())))
    if column.type in ("integer", "number") and column.role == "feature":
        return replace(column, range=_wide_range(float(values.min()), float(values.max()), column.type))  # type: ignore[arg-type]
    return column


def _wide_range(low: float, high: float, kind: ColumnType) -> tuple[float, float]:
    """The range of the numbers, as wide again on each side, in two digits; it does not go below 0 if they do not."""
    width = (high - low) or abs(high) or 1.0
    bounds = [_outward(low - width, math.floor), _outward(high + width, math.ceil)]
    if low >= 0:
        bounds[0] = 0.0
    if kind == "integer" or all(bound == int(bound) for bound in bounds):
        return int(bounds[0]), int(bounds[1])
    return bounds[0], bounds[1]


def _outward(bound: float, to_whole: Any) -> float:
    if not bound:
        return 0.0
    scale = 10.0 ** (math.floor(math.log10(abs(bound))) - 1)
    return float(f"{to_whole(bound / scale) * scale:.6g}")
