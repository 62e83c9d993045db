"""Outcomes from a table, for the prediction log."""

import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl

from champion.core.errors import NotFoundError, UserError
from champion.predictions.limits import LAST_ROW, REQUEST_ID, latest_day
from champion.predictions.log import PredictionLog
from champion.table.columns import ColumnType
from champion.table.fields import MISSING_VALUES, read_typed

COLUMNS: dict[str, tuple[ColumnType, str]] = {
    "request_id": ("category", "text"),
    "row": ("integer", "a whole number"),
    "date": ("date", "a date"),
}
# Outcomes of one transaction.
PART = 10_000


def add_outcomes(log: PredictionLog, path: Path, complete_through: date | None) -> int:
    """Say of each row of the Parquet or CSV file when its event happened. Returns how many rows it has.

    The columns are `request_id`, `date` (empty takes back what was said before) and, if a request had many rows, `row`.
    Raises `UserError` naming the file with what is wrong, and then says nothing.
    """
    if complete_through is not None and complete_through > latest_day():
        raise UserError(f"--complete-through {complete_through} is in the future. Give a day that is over.")
    table = _checked(_read(path), path.name)
    now = time.time()
    table = table.with_columns(pl.lit(now).alias("time"), pl.col("date").dt.to_string("%Y-%m-%d").alias("day"))
    for part in table.drop("date").iter_slices(PART):
        log.say(part.to_dicts())
    if complete_through is not None:
        log.say([], [{"time": now, "through": complete_through.isoformat()}])
    return table.height


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise NotFoundError(f"{path.name}: there is no such file. Give a Parquet or CSV file.")
    try:
        if path.suffix == ".csv":
            table = pl.read_csv(path, infer_schema=False, null_values=MISSING_VALUES)
        else:
            table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{path.name}: not readable Parquet or CSV ({reason}). Write the file again.") from None
    return table if "row" in table.columns else table.with_columns(pl.lit(0).alias("row"))


def _checked(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """The columns with their types."""
    fields = {}
    for column, (wanted, expected) in COLUMNS.items():
        if column not in table.columns:
            raise UserError(f"{name}: the column {column!r} is missing. Add it.")
        field = fields[column] = read_typed(column, wanted, table.schema[column])
        if field is None:
            raise UserError(f"{name}: the column {column!r} holds {table.schema[column]}, not {expected}. Convert it.")
    parsed = table.select(field.value.alias(field.name) for field in fields.values() if field is not None)
    for column, is_wrong, what in _mistakes(table, parsed):
        if (wrong := is_wrong.arg_true()).len():
            value = table[column][wrong[0]]
            raise UserError(f"{name}: {value!r} in row {wrong[0] + 1} of column {column!r} {what}. Correct it.")
    return parsed


def _mistakes(table: pl.DataFrame, parsed: pl.DataFrame) -> Iterator[tuple[str, pl.Series, str]]:
    """Columns, which of their values are wrong, and in what way."""
    valid = parsed["request_id"].str.contains(rf"\A{REQUEST_ID}\z").fill_null(False)
    yield "request_id", ~valid, "is no request's id"
    rows = parsed["row"].is_between(0, LAST_ROW).fill_null(False)
    yield "row", ~rows, "is no row's number, which counts from 0"
    yield "date", parsed["date"].is_null() & table["date"].is_not_null(), "is no date such as 2026-11-03"
    yield "date", (parsed["date"] > latest_day()).fill_null(False), "is in the future"
