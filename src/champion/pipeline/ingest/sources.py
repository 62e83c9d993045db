"""Reading the rows in the window from an installed wheel, a file or a database, with the declared types."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import assert_never

import polars as pl

from champion.core.errors import NoRowsError, UserError, refuse_full_memory
from champion.core.own_code import errors_of_own_code, load_own
from champion.core.values import quoted
from champion.core.yaml_text import as_yaml
from champion.pipeline.ingest.csv_file import as_utf8, line_of_row, read_header, refuse_long_row, refuse_other_bytes
from champion.pipeline.ingest.loans import SOURCE_COLUMNS, loan_fields
from champion.pipeline.ingest.location import find_file
from champion.pipeline.ingest.params import LOANS, FileSource, Source, SqlSource, WheelSource
from champion.table.columns import Columns
from champion.table.fields import MISSING_VALUES, Field, read_text, read_typed
from champion.table.text_form import TextForm
from champion.table.window import Period

EXAMPLES = 3
# The keys of the form of a text with a value of that type.
FORMS = {
    "date": " or `ingest.date_format`",
    "number": ", `ingest.decimal` or `ingest.thousands`",
    "integer": ", `ingest.decimal` or `ingest.thousands`",
}
# A line to paste has so many marks at most.
MOST_MARKS = 10


@dataclass(frozen=True)
class Origin:
    """An opened source: a name for messages, its rows, the typed fields to read from them, and the form of its texts.

    A CSV file is the `text` with its `separator`. Of it, unused columns are parsed too; otherwise an extra separator
    could shift values unnoticed.
    """

    name: str
    rows: pl.LazyFrame
    fields: list[Field]
    form: TextForm
    is_file: bool = True
    text: Path | None = None
    separator: str = ","


def read_table(source: Source, columns: Columns, period: Period | None, root: Path = Path()) -> pl.DataFrame:
    """The declared columns, in order and typed, of the rows in the window and of rows without a date.

    A file is under `root`, the root of the repository. Raises `UserError` when the source is missing, its columns are
    not the declared ones, a value does not parse as its type, or no row is in the window.
    """
    with TemporaryDirectory(prefix="champion-ingest-") as folder:
        return _read_origin(_open(source, columns, period, root, Path(folder)), columns, period)


def _read_origin(origin: Origin, columns: Columns, period: Period | None) -> pl.DataFrame:
    date = columns.only("date")
    values = [field.value.alias(field.name) for field in origin.fields]
    texts = [field.origin.alias(_text_of(field)) for field in origin.fields if field.origin is not None]
    optimizations = pl.QueryOptFlags(projection_pushdown=origin.text is None)
    try:
        rows = origin.rows.select(values + texts)
        if period is not None and date is not None:
            inside = pl.col(date).is_between(period.start, period.end, closed="left")
            read = rows.filter(inside | pl.col(date).is_null()).collect(optimizations=optimizations)
        else:
            read = rows.collect(optimizations=optimizations)
        _refuse_unparsed(origin, read, columns)
        table = read.select(field.name for field in origin.fields)
        if period is not None and date is not None and table[date].null_count() == table.height:
            _explain_empty_window(origin.name, rows, date, period)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(origin, error) from None
    if table.is_empty():
        raise UserError(f"{origin.name}: the table has a header but no rows. Give a table with rows.")
    return table


def _open(source: Source, columns: Columns, period: Period | None, root: Path, folder: Path) -> Origin:
    match source:
        case WheelSource() | FileSource():
            path, name = find_file(source, root)
            return _open_file(path, name, source, columns, root, folder)
        case SqlSource():
            from champion.pipeline.ingest.database import read_sql

            rows = read_sql(source, columns, period)
            name = source.table or "ingest.query"
            wanted = Columns({column: spec for column, spec in columns.items() if spec.role != "ignore"})
            return Origin(name, rows.lazy(), _typed_fields(name, rows.schema, wanted, source), source, is_file=False)
        case _:
            assert_never(source)


def _open_file(
    path: Path, name: str, source: WheelSource | FileSource, columns: Columns, root: Path, folder: Path
) -> Origin:
    if path.stat().st_size == 0:
        raise UserError(f"{name}: the file is empty. Give a table with a header and rows.")
    if path.suffix == ".parquet":
        try:
            rows = pl.scan_parquet(path, glob=False)
            schema = rows.collect_schema()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise UserError(f"{name}: not readable Parquet ({_first_line(error)}). Write the file again.") from None
        if source.adapter is None:
            return Origin(name, rows, _typed_fields(name, schema, columns, source), source)
        if source.adapter != LOANS:
            return _adapt(Origin(name, rows, [], source), source.adapter, columns, root)
        return Origin(name, rows.with_columns(_texts()), _loan_fields(name, list(schema), columns), source)
    text = as_utf8(path, name, source, folder)
    header = read_header(text, name, source.separator)
    rows = pl.scan_csv(
        text,
        separator=source.separator,
        infer_schema=False,
        null_values=MISSING_VALUES,
        new_columns=header,
        glob=False,
    )
    if source.adapter == LOANS:
        return Origin(name, rows, _loan_fields(name, header, columns), source, text=text, separator=source.separator)
    if source.adapter is not None:
        whole = Origin(name, rows, [], source, text=text, separator=source.separator)
        return _adapt(whole, source.adapter, columns, root)
    _refuse_other_columns(name, header, list(columns))
    # The usual words are missing values already.
    fields = [read_text(column, spec.type, source, missing=()) for column, spec in columns.items()]
    return Origin(name, rows, _without_ignored(fields, columns), source, text=text, separator=source.separator)


def _adapt(origin: Origin, adapter: str, columns: Columns, root: Path) -> Origin:
    """The table that a user's function makes of the file's rows, which are texts if it is a CSV file."""
    adapt = load_own(adapter, "ingest.adapter", root)
    try:
        read = origin.rows.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(origin, error) from None
    with errors_of_own_code(adapter, "ingest.adapter"):
        made = adapt(read)
    if not isinstance(made, pl.DataFrame):
        raise UserError(
            f"params.yaml: `ingest.adapter`: {adapter} gave {type(made).__name__}. Let it return a DataFrame of Polars."
        )
    fields = _typed_fields(adapter, made.schema, columns, origin.form)
    return Origin(adapter, made.lazy(), fields, origin.form, is_file=False)


def _unreadable(origin: Origin, error: Exception) -> UserError:
    """What is wrong with a file that Polars does not read. Raises a more precise error where it can tell."""
    refuse_full_memory(error)
    if origin.text is not None:
        refuse_other_bytes(origin.text, origin.name)
        refuse_long_row(origin.text, origin.name, origin.separator)
    return UserError(
        f"{origin.name}: cannot be read as {'Parquet' if origin.text is None else 'CSV'} ({_first_line(error)}). "
        "Repair or re-export the file."
    )


def _texts() -> pl.Expr:
    """All columns as the text that they are in a CSV file."""
    return pl.all().cast(pl.String).replace(dict.fromkeys(MISSING_VALUES))


def _refuse_other_columns(name: str, found: list[str], expected: list[str]) -> None:
    if "" in found:
        raise UserError(f"{name}: column {found.index('') + 1} has no name. Give it one, or remove the column.")
    missing = [column for column in expected if column not in found]
    extra = [column for column in found if column not in expected]
    if missing:
        raise UserError(
            f"{name}: the column {_listed(missing)} is missing. Add it to the table, or correct "
            "`columns` in params.yaml."
        )
    if extra:
        raise UserError(
            f"{name}: the column {_listed(extra)} is not declared. Declare it under `columns` in params.yaml "
            "(with the role `ignore` to leave it out)."
        )
    for place, (has, wants) in enumerate(zip(found, expected, strict=True), start=1):
        if has != wants:
            raise UserError(
                f"{name}: column {place} is {has!r}, but params.yaml declares {wants!r}. "
                "Put `columns` in the table's order."
            )


def _loan_fields(name: str, found: list[str], columns: Columns) -> list[Field]:
    _refuse_other_columns(name, found, SOURCE_COLUMNS)
    fields = loan_fields()
    _refuse_other_columns("the loans adapter", [field.name for field in fields], list(columns))
    return _without_ignored(fields, columns)


def _typed_fields(name: str, schema: pl.Schema, columns: Columns, form: TextForm) -> list[Field]:
    _refuse_other_columns(name, schema.names(), list(columns))
    fields = []
    for column, spec in columns.items():
        if spec.role == "ignore":
            continue
        field = read_typed(column, spec.type, schema[column], form)
        if field is None:
            raise UserError(
                f"{name}: the column {column!r} holds {schema[column]}, but params.yaml declares {spec.type}. "
                "Correct its `type` in params.yaml, or convert the column."
            )
        fields.append(field)
    return fields


def _without_ignored(fields: list[Field], columns: Columns) -> list[Field]:
    return [field for field in fields if columns[field.name].role != "ignore"]


def _text_of(field: Field) -> str:
    return f"(text of {field.name})"


def _refuse_unparsed(origin: Origin, read: pl.DataFrame, columns: Columns) -> None:
    for field in origin.fields:
        if field.origin is None:
            continue
        text = read[_text_of(field)]
        failed = text.filter(text.is_not_null() & read[field.name].is_null())
        if failed.is_empty():
            continue
        kind, count = columns[field.name].type, len(failed)
        different = failed.unique(maintain_order=True).cast(pl.String)
        examples = ", ".join(quoted(text) for text in different.head(EXAMPLES))
        marks = as_yaml([*origin.form.na_values, *different.head(MOST_MARKS)])
        hint = (
            f" If they mean a missing value, put `na_values: {marks}` below `ingest`."
            if text.dtype == pl.String
            else ""
        )
        raise UserError(
            f"{origin.name}{_place_of_first(origin, field)}: {count:,} {'value' if count == 1 else 'values'} of column "
            f"{field.name!r} cannot be read as {kind}, such as {examples}. Correct them, or in params.yaml the "
            f"column's `type`{FORMS.get(kind, '')}.{hint if text.dtype == pl.String else ''}"
        )


def _place_of_first(origin: Origin, field: Field) -> str:
    """Where the first value of a file stands that does not parse."""
    if not origin.is_file or field.origin is None:
        return ""
    unread = field.origin.is_not_null() & field.value.is_null()
    row: int = origin.rows.select(unread.arg_true().first()).collect().item()
    if origin.text is None:
        return f", row {row + 1:,}"
    return f", line {line_of_row(origin.text, origin.separator, row):,}"


def _explain_empty_window(name: str, rows: pl.LazyFrame, date: str, period: Period) -> None:
    # As text, because Python has no year 0.
    ends = {"first": pl.col(date).min().cast(pl.String), "last": pl.col(date).max().cast(pl.String)}
    bounds = rows.select(**ends, height=pl.len()).collect()
    first, last, height = bounds.row(0)
    if not height:
        return
    if first is None:
        raise UserError(f"{name}: the column {date!r} holds no date. Correct the table, or `columns` in params.yaml.")
    raise NoRowsError(
        f"{name}: no row is in the window, from {period.start} to before {period.end}; the rows have dates from "
        f"{first} to {last}. Correct `as_of`, `window`, `split.test` or `label.horizon` in params.yaml."
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
