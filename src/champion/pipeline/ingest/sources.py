"""The rows of a source that are in the window, with the declared types."""

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from champion.core.errors import NoRowsError, UserError
from champion.core.values import quoted
from champion.core.yaml_text import as_yaml
from champion.pipeline.ingest.csv_file import line_of_row
from champion.pipeline.ingest.origin import Origin, open_source, unreadable
from champion.pipeline.ingest.params import Source
from champion.table.columns import Columns
from champion.table.fields import Field
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


def read_table(source: Source, columns: Columns, period: Period | None, root: Path = Path()) -> pl.DataFrame:
    """The declared columns, in order and typed, of the rows in the window and of rows without a date.

    A file is under `root`, the root of the repository. Raises `UserError` when the source is missing, its columns are
    not the declared ones, a value does not parse as its type, or no row is in the window.
    """
    with TemporaryDirectory(prefix="champion-ingest-") as folder:
        return _read_origin(open_source(source, columns, period, root, Path(folder)), columns, period)


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
        raise unreadable(origin, error) from None
    if table.is_empty():
        raise UserError(f"{origin.name}: the table has a header but no rows. Give a table with rows.")
    return table


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
        hint = f" If they mean a missing value, put `na_values: {marks}` below `ingest`."
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
