"""Typed columns of a source, and which of their values do not parse."""

from dataclasses import dataclass

import polars as pl

from champion.table.columns import ColumnType, dtype

# The texts that stand for no value in CSV files.
MISSING_VALUES = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"]
_TRUE, _FALSE = ["true", "t", "yes", "y", "1"], ["false", "f", "no", "n", "0"]


@dataclass(frozen=True)
class Field:
    """A column as lazy expressions over a source: the typed `value`, and the `origin` that it is parsed from.

    A row did not parse if its `origin` is not null and its `value` is null. `origin` is None if every value parses.
    """

    name: str
    value: pl.Expr
    origin: pl.Expr | None = None


def read_text(name: str, column_type: ColumnType, date_format: str | None = None) -> Field:
    """A text column as the type. Booleans: true/false, t/f, yes/no, y/n, 1/0. Dates: ISO 8601 or `date_format`."""
    text = pl.col(name).cast(pl.String)
    match column_type:
        case "category":
            return Field(name, text)
        case "boolean":
            word = text.str.to_lowercase()
            return Field(name, pl.when(word.is_in(_TRUE)).then(True).when(word.is_in(_FALSE)).then(False), text)
        case "date":
            return Field(name, text.str.to_date(date_format or "%Y-%m-%d", strict=False), text)
        case "number":
            return Field(name, _finite(text.cast(pl.Float64, strict=False)), text)
        case "integer":
            return Field(name, text.cast(pl.Int64, strict=False), text)


def read_typed(name: str, column_type: ColumnType, found: pl.DataType, date_format: str | None = None) -> Field | None:
    """A column that already has a type, or None if this type does not fit the declared one."""
    column = pl.col(name)
    if found == pl.Null:
        return Field(name, pl.lit(None, dtype=dtype(column_type)))
    if found in (pl.String, pl.Categorical, pl.Enum):
        return read_text(name, column_type, date_format)
    match column_type:
        case "date" if found == pl.Date or isinstance(found, pl.Datetime):
            return Field(name, column.cast(pl.Date))
        case "number" if found.is_numeric():
            number = column.cast(pl.Float64).fill_nan(None)
            return Field(name, _finite(number), number)
        case "integer" if found.is_integer():
            return Field(name, column.cast(pl.Int64))
        case "boolean" if found == pl.Boolean:
            return Field(name, column)
        case "boolean" if found.is_integer():
            return Field(name, pl.when(column == 1).then(True).when(column == 0).then(False), column)
        case "category" if found.is_integer() or found == pl.Boolean:
            return Field(name, column.cast(pl.String))
    return None


def _finite(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_finite()).then(number)
