"""Outcomes from a table, for the prediction log."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from champion.core.errors import NotFoundError, UserError
from champion.predictions.log import PredictionLog
from champion.predictions.record import Complete, Outcome
from champion.table.fields import MISSING_VALUES

REQUEST_ID, ROW, DATE = "request_id", "row", "date"
# Outcomes of one transaction.
PART = 10_000


def add_outcomes(log: PredictionLog, path: Path, complete_through: date | None) -> int:
    """Say of each row of the Parquet or CSV file when its event happened. Returns how many rows it has.

    The columns are `request_id`, `date` (empty takes back what was said before) and, if a request had many rows, `row`.
    Raises `UserError` naming the file with what is wrong, and then says nothing.
    """
    latest = datetime.now(UTC).date() + timedelta(days=1)
    if complete_through is not None and complete_through > latest:
        raise UserError(f"--complete-through {complete_through} is in the future. Give a day that is over.")
    table = _checked(_read(path), path.name, latest)
    now = time.time()
    for part in table.iter_slices(PART):
        log.add([Outcome(now, *values) for values in part.iter_rows()])
    if complete_through is not None:
        log.add([Complete(now, complete_through.isoformat())])
    return table.height


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise NotFoundError(f"{path.name}: there is no such file. Give a Parquet or CSV file.")
    try:
        if path.suffix == ".csv":
            return pl.read_csv(path, infer_schema=False, null_values=MISSING_VALUES)
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{path.name}: not readable Parquet or CSV ({reason}). Write the file again.") from None


def _checked(table: pl.DataFrame, name: str, latest: date) -> pl.DataFrame:
    """The columns in the order of an `Outcome`, with the date as text."""
    for column in (REQUEST_ID, DATE):
        if column not in table.columns:
            raise UserError(f"{name}: the column {column!r} is missing. Add it.")
    if ROW not in table.columns:
        table = table.with_columns(pl.lit(0).alias(ROW))
    day = pl.col(DATE)
    if table.schema[DATE] == pl.String:
        day = day.str.to_date("%Y-%m-%d", strict=False)
    elif not table.schema[DATE].is_temporal() and table.schema[DATE] != pl.Null:
        raise UserError(f"{name}: the column 'date' holds no dates. Convert it.")
    parsed = table.select(
        pl.col(REQUEST_ID).cast(pl.String),
        pl.col(ROW).cast(pl.Int64, strict=False),
        day.cast(pl.Date),
    )
    for column, is_wrong, what in _mistakes(table, parsed, latest):
        if (wrong := is_wrong.arg_true()).len():
            value = table[column][wrong[0]]
            raise UserError(f"{name}: {value!r} in row {wrong[0] + 1} of column {column!r} {what}. Correct it.")
    return parsed.with_columns(pl.col(DATE).dt.to_string("%Y-%m-%d"))


def _mistakes(table: pl.DataFrame, parsed: pl.DataFrame, latest: date) -> Iterator[tuple[str, pl.Series, str]]:
    """Columns, which of their values are wrong, and in what way."""
    valid = parsed[REQUEST_ID].str.contains(r"^[A-Za-z0-9._-]{1,64}$").fill_null(False)
    yield REQUEST_ID, ~valid, "is no request's id"
    rows = parsed[ROW].is_between(0, (1 << 31) - 1).fill_null(False)
    yield ROW, ~rows, "is no row's number, which counts from 0"
    yield DATE, parsed[DATE].is_null() & table[DATE].is_not_null(), "is no date such as 2026-11-03"
    yield DATE, (parsed[DATE] > latest).fill_null(False), "is in the future"
