"""Typed columns of a source, and which of their values do not parse."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from champion.table.columns import ColumnType, dtype
from champion.table.text_form import PLAIN, TextForm

# The texts that stand for no value.
MISSING_VALUES = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"]
_TRUE, _FALSE = ["true", "t", "yes", "y", "1"], ["false", "f", "no", "n", "0"]
# An ISO date, which a time may follow. The date counts as it is written, whatever the time's zone.
_ISO_DATE = (
    r"^([0-9]{4}-[0-9]{1,2}-[0-9]{1,2})"
    r"(?:[T ](?:[01][0-9]|2[0-4]):[0-5][0-9](?::[0-6][0-9](?:[.,][0-9]+)?)?"
    r"(?: ?(?:Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?))?)?$"
)


@dataclass(frozen=True)
class Field:
    """A column as lazy expressions over a source: the typed `value`, and the `origin` that it is parsed from.

    A row did not parse if its `origin` is not null and its `value` is null. `origin` is None if every value parses.
    """

    name: str
    value: pl.Expr
    origin: pl.Expr | None = None


def read_text(
    name: str, column_type: ColumnType, form: TextForm = PLAIN, missing: Sequence[str] = MISSING_VALUES
) -> Field:
    """A text column as the type. Booleans: true/false, t/f, yes/no, y/n, 1/0. An integer may have decimals of only 0.

    Dates are in the form's `date_format`, else ISO 8601; a time after them does not count. The texts in `missing` are
    missing values, and a number that equals one of the form's `na_values`, however it is written. Spaces around a value
    count in a category only.
    """
    text = pl.col(name).cast(pl.String)
    marks = [*missing, *(str(value) for value in form.na_values)]
    if marks:
        text = pl.when(~text.is_in(marks)).then(text)
    if column_type == "category":
        return Field(name, text)
    text = text.str.strip_chars(" \t")
    text = pl.when(text != "").then(text)
    match column_type:
        case "boolean":
            word = text.str.to_lowercase()
            return Field(name, pl.when(word.is_in(_TRUE)).then(True).when(word.is_in(_FALSE)).then(False), text)
        case "date" if form.date_format is not None:
            return Field(name, text.str.to_date(form.date_format, strict=False), text)
        case "date":
            return Field(name, text.str.extract(_ISO_DATE).str.to_date("%Y-%m-%d", strict=False), text)
        case "number":
            number = _plain_number(text, form).cast(pl.Float64, strict=False)
            return _without_marks(Field(name, _finite(number), text), form)
        case "integer":
            whole = _plain_number(text, form).str.replace(r"\.0*$", "").cast(pl.Int64, strict=False)
            return _without_marks(Field(name, whole, text), form)


def read_typed(name: str, column_type: ColumnType, found: pl.DataType, form: TextForm = PLAIN) -> Field | None:
    """A column that already has a type, or None if this type does not fit the declared one; the form is that of text.

    Of the form, numbers in `na_values` hold for columns of numbers too. The date of a time is that of its zone.
    Whole numbers of any type are integers: pandas writes integers as floats if one is missing.
    """
    column = pl.col(name)
    if found == pl.Null:
        return Field(name, pl.lit(None, dtype=dtype(column_type)))
    if found in (pl.String, pl.Categorical, pl.Enum):
        return read_text(name, column_type, form)
    match column_type:
        case "date" if found == pl.Date or isinstance(found, pl.Datetime):
            return Field(name, column.dt.date())
        case "number" if found.is_numeric():
            number = column.cast(pl.Float64).fill_nan(None)
            return _without_marks(Field(name, _finite(number), number), form)
        case "integer" if found.is_integer():
            return _without_marks(Field(name, column.cast(pl.Int64, strict=False), column), form)
        case "integer" if found.is_numeric():
            number = column.cast(pl.Float64).fill_nan(None)
            whole = pl.when(number == number.floor()).then(column.cast(pl.Int64, strict=False))
            return _without_marks(Field(name, whole, number), form)
        case "boolean" if found == pl.Boolean:
            return Field(name, column)
        case "boolean" if found.is_integer():
            return Field(name, pl.when(column == 1).then(True).when(column == 0).then(False), column)
        case "category" if found.is_integer() or found == pl.Boolean:
            return Field(name, column.cast(pl.String))
    return None


def _without_marks(field: Field, form: TextForm) -> Field:
    """The column of numbers, without those that stand for a missing value."""
    marks = [value for value in form.na_values if not isinstance(value, str) and abs(value) <= sys.float_info.max]
    if not marks or field.origin is None:
        return field
    marked = field.value.cast(pl.Float64).is_in([float(value) for value in marks]).fill_null(False)
    return Field(field.name, pl.when(~marked).then(field.value), pl.when(~marked).then(field.origin))


def _plain_number(text: pl.Expr, form: TextForm) -> pl.Expr:
    """The text of a number with a point and no groups; null for a text that is no number in this form."""
    if form.decimal == PLAIN.decimal and form.thousands is None:
        return text
    decimal, grouped = _escaped(form.decimal), ""
    if form.thousands is not None:
        # Groups of three, of which those before the last may have two, as in India. The first does not begin with 0.
        mark = _escaped(form.thousands)
        grouped = f"|[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{2,3}})*{mark}[0-9]{{3}}"
        without = text.str.replace_all(form.thousands, "", literal=True)
    else:
        without = text
    number = f"^[+-]?(?:[0-9]+{grouped})?(?:{decimal}[0-9]*)?(?:[eE][+-]?[0-9]+)?$"
    return pl.when(text.str.contains(number)).then(without.str.replace(form.decimal, ".", literal=True))


def _escaped(character: str) -> str:
    return f"\\x{{{ord(character):x}}}"


def _finite(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_finite()).then(number)
