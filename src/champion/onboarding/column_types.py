"""The type of each column of an undeclared table, and the form of its texts: the one that most columns fit."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from champion.core.errors import UserError
from champion.table.columns import ColumnType
from champion.table.fields import Field, read_text, read_typed
from champion.table.text_form import PLAIN, TextForm

TEXTS = (pl.String, pl.Categorical, pl.Enum)
# What people write for a missing number, besides what always means a missing value.
NO_NUMBER = {
    "?", "??", "-", "--", "---", ".", "..", "...", "*", "**", "#n/a", "#null!", "#value!", "(null)", "(blank)", "blank",
    "n/a", "n.a.", "na", "nan", "nil", "null", "missing", "(missing)", "unknown", "unk", "not available", "not known",
    "iap",
}  # fmt: skip
# The same in a column of categories, where `-` or `unknown` can be a category.
NO_CATEGORY = {"?", "??", "#n/a", "#null!", "(null)", "n/a", "n.a."}
# Numbers that stand for a missing one, if they lie far from all others.
BELOW = (-9, -99, -999, -9999, -99_999)
ABOVE = (999, 9999, 99_999, 999_999, 9_999_999)
FORMS = (
    PLAIN,
    TextForm(thousands=","),
    TextForm(thousands=" "),
    TextForm(thousands="'"),
    TextForm(decimal=","),
    TextForm(decimal=",", thousands="."),
    TextForm(decimal=",", thousands=" "),
)
WORDS = ({"true", "false"}, {"t", "f"}, {"yes", "no"}, {"y", "n"})
DAYS = (
    "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y",
    "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%Y%m%d",
)  # fmt: skip
MARKS = "[.,' ]"
CODE = r"^\s*0[0-9]+\s*$"
TIMES = ("", " %H:%M", " %H:%M:%S")
# Earlier, a year of two digits was read as one of four.
FIRST_YEAR = 1500
SAMPLED = 200


@dataclass(frozen=True)
class TypedTable:
    """The rows with a type for each column. `form` is how texts are written; `odd` columns have no type that we read.

    `notes` say what could be read in another way.
    """

    form: TextForm
    types: dict[str, ColumnType]
    rows: pl.DataFrame
    odd: list[str]
    notes: list[str]


def find_types(rows: pl.DataFrame, target: str, given: TextForm = PLAIN, *, semicolons: bool) -> TypedTable:
    """The type of each column. The marks and the date format of the `given` form are taken; those not given are found.

    Between two readings, a file with semicolons is taken for one with decimal commas, and with days before months.
    The target is never boolean text, so that its two values keep their names. Raises `UserError` for a date format that
    fits no column.
    """
    texts = [name for name, found in rows.schema.items() if found in TEXTS]
    form, notes = _number_form(rows, texts, given, semicolons)
    numbers = {name: found for name in texts if (found := _as_number(rows, name, form)) is not None}
    marks = {mark for found in numbers.values() for mark in found}
    others = [name for name in texts if name not in numbers]
    marks |= {value for name in others for value in _texts_of(rows, name) if value.strip().lower() in NO_CATEGORY}
    form = _with(form, na_values=sorted(marks))
    if given.date_format is None:
        found_format, exchanged = _date_format(rows, others, day_first=semicolons or form.decimal == ",")
        notes += exchanged
    elif any(_is_date(rows, name, given.date_format) for name in others):
        found_format = given.date_format
    else:
        raise UserError(f"no column has dates of the form {given.date_format!r}. Correct --date-format.")
    form = _with(form, date_format=found_format)
    types: dict[str, ColumnType] = {}
    for name, dtype in rows.schema.items():
        if name in numbers:
            whole = _is_whole(rows, name, form)
            pointed = rows.select(pl.col(name).cast(pl.String).str.contains(form.decimal, literal=True).any()).item()
            types[name] = "integer" if whole and not pointed else "number"
        elif name in texts:
            types[name] = _text_type(rows, name, form, target)
        elif dtype.is_numeric() or dtype in (pl.Boolean, pl.Date) or isinstance(dtype, pl.Datetime):
            types[name] = _declared(dtype)
    if types.get(target) == "number" and _is_whole(rows, target, form):
        # A spreadsheet writes 0 and 1 as 0.0 and 1.0 too.
        types[target] = "integer"
    form = _with(form, na_values=[*form.na_values, *_sentinels(rows, types, form)])
    typed = rows.select(
        field.value.alias(name)
        for name, found in types.items()
        if (field := read_typed(name, found, rows.schema[name], form)) is not None
    )
    for name in typed.columns:
        if types[name] == "integer" and name != target and set(typed[name].drop_nulls().unique()) == {0, 1}:
            types[name], typed = "boolean", typed.with_columns(pl.col(name) == 1)
    return TypedTable(form, types, typed, [name for name in rows.columns if name not in types], notes)


def _is_whole(rows: pl.DataFrame, name: str, form: TextForm) -> bool:
    field = read_typed(name, "integer", rows.schema[name], form)
    return field is not None and not rows.select(_unread(field).len()).item()


def _with(form: TextForm, **changed: Any) -> TextForm:
    return TextForm.model_validate(form.model_dump() | changed)


def _unread(field: Field) -> pl.Expr:
    """The texts that do not parse."""
    text = pl.lit(None) if field.origin is None else field.origin
    return text.filter(field.value.is_null() & text.is_not_null())


def _texts_of(rows: pl.DataFrame, name: str) -> list[str]:
    return rows[name].drop_nulls().cast(pl.String).unique(maintain_order=True).to_list()


def _number_form(
    rows: pl.DataFrame, texts: Iterable[str], given: TextForm, semicolons: bool
) -> tuple[TextForm, list[str]]:
    """The form of numbers that most columns fit, and a note if a mark could be that of decimals or of thousands."""
    if (given.decimal, given.thousands) != (PLAIN.decimal, PLAIN.thousands):
        return TextForm(decimal=given.decimal, thousands=given.thousands), []
    forms = sorted(FORMS, key=lambda form: form.decimal == ",", reverse=semicolons)
    forms.sort(key=lambda form: form != PLAIN)
    # Texts without any mark are the same numbers in each form.
    marked = [name for name in texts if rows.select(pl.col(name).cast(pl.String).str.contains(MARKS).any()).item()]
    fits = [[name for name in marked if _as_number(rows, name, form) is not None] for form in forms]
    best = max(fits, key=len)
    if semicolons:
        # Where other columns are plain numbers, a comma is more probable.
        best = next((one for one in fits if len(one) == len(best) and one != fits[0]), best)
    chosen = forms[fits.index(best)]
    for other, fitting in zip(forms, fits, strict=True):
        if other == chosen or len(fitting) < len(best):
            continue
        for name in fitting:
            numbers = [rows.select(read_text(name, "number", form).value).to_series() for form in (chosen, other)]
            differs = (numbers[0] != numbers[1]).arg_true()
            if len(differs):
                text = rows[name].cast(pl.String)[differs[0]]
                read = " or ".join(f"{one[differs[0]]:,}" for one in numbers)
                return chosen, [
                    f"{text!r} of {name!r} could be {read}; the first is taken. --decimal and --thousands say otherwise"
                ]
    return chosen, []


def _as_number(rows: pl.DataFrame, name: str, form: TextForm) -> list[str] | None:
    """The texts that mean a missing value, if all others are numbers; None for a column of other texts.

    What begins with a zero, such as 01234, is a code.
    """
    sample = rows[name].drop_nulls().head(SAMPLED).to_frame()
    field = read_text(name, "number", form)
    for part in (sample, rows):
        values = part.select(field.value).to_series()
        marks = part.select(_unread(field).cast(pl.String).unique(maintain_order=True)).to_series().to_list()
        if any(mark.strip().lower() not in NO_NUMBER for mark in marks):
            return None
    if values.null_count() == len(values) or rows.select(pl.col(name).cast(pl.String).str.contains(CODE).any()).item():
        return None
    return marks


def _is_date(rows: pl.DataFrame, name: str, date_format: str | None) -> bool:
    field = read_text(name, "date", TextForm(date_format=date_format))
    for part in (rows[name].drop_nulls().head(SAMPLED).to_frame(), rows):
        if part.select(_unread(field).len()).item():
            return False
    # Python has no year 0.
    first = rows.select(field.value.dt.year().min()).item()
    return first is not None and first >= FIRST_YEAR


def _date_format(rows: pl.DataFrame, names: list[str], *, day_first: bool) -> tuple[str | None, list[str]]:
    """The format that most columns fit, None for ISO dates; and a note if days and months could be exchanged."""
    best: tuple[str | None, list[str]] = None, [name for name in names if _is_date(rows, name, None)]
    days = sorted(DAYS, key=lambda day: day.startswith("%m"), reverse=not day_first)
    for found in (day + time for day in days for time in TIMES):
        fitting = [name for name in names if _is_date(rows, name, found)]
        if len(fitting) > len(best[1]):
            best = found, fitting
    chosen, fitting = best
    exchanged = None if chosen is None else chosen.replace("%d", "%D").replace("%m", "%d").replace("%D", "%m")
    if not fitting or exchanged == chosen or not all(_is_date(rows, name, exchanged) for name in fitting):
        return chosen, []
    return chosen, [
        f"the dates of {', '.join(map(repr, fitting))} fit {chosen} and {exchanged}; the first is taken. "
        f"--date-format {exchanged!r} takes the other"
    ]


def _text_type(rows: pl.DataFrame, name: str, form: TextForm, target: str) -> ColumnType:
    if _is_date(rows, name, form.date_format):
        return "date"
    words = {text.strip().lower() for text in _texts_of(rows, name) if text not in form.na_values}
    return "boolean" if words in WORDS and name != target else "category"


def _declared(dtype: pl.DataType) -> ColumnType:
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "integer"
    return "number" if dtype.is_numeric() else "date"


def _sentinels(rows: pl.DataFrame, types: dict[str, ColumnType], form: TextForm) -> list[int]:
    """Numbers that stand for a missing value: in each column that has them, they lie far from all others."""
    found, ordinary = set(), set()
    for name, kind in types.items():
        if kind not in ("integer", "number"):
            continue
        field = read_typed(name, kind, rows.schema[name], form)
        if field is None:
            continue
        values: list[float] = rows.select(field.value).to_series().drop_nulls().unique().sort().to_list()
        far = set()
        if len(values) > 1 and values[0] in BELOW and values[1] >= 0:
            far.add(int(values[0]))
        if len(values) > 1 and values[-1] in ABOVE and values[-2] * 10 < values[-1]:
            far.add(int(values[-1]))
        found |= far
        ordinary |= {*BELOW, *ABOVE}.intersection(values) - far
    return sorted(found - ordinary)


def number_in_another_form(texts: pl.Series) -> str | None:
    """A text of the column, if at least half of its texts are numbers with a unit, in brackets or with a last sign."""
    given = texts.drop_nulls().unique(maintain_order=True)
    bare = given.str.strip_chars(" ()€$£%-+")
    odd = bare.str.contains(r"^[0-9][0-9.,' ]*$") & (bare != given) | given.str.contains(r"^[0-9]+[.,][0-9]+$")
    return None if given.is_empty() or odd.mean() < 0.5 else str(given.filter(odd)[0])  # type: ignore[operator]
