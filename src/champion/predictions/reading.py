"""Reads the rows of the prediction log as tables."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import sqlalchemy as sa

from champion.predictions.tables import Tables

# The columns that a reader gets.
READ = (
    *("time", "user", "request_id", "row", "version", "variant"),
    *("probability", "decision", "out_of_scope", "features", "event"),
)
# Rows that are in memory at a time.
_ROWS = 50_000
_TYPES = {"row": pl.Int32, "probability": pl.Float64, "decision": pl.Boolean}


def read_rows(
    connection: sa.Connection, tables: Tables, environment: str, since: str | None, until: str | None
) -> Iterator[pl.DataFrame]:
    """The environment's rows from `since` on and before `until`, as the log writes times, sorted by time.

    They come in parts with equal columns, the first of which is empty.
    """
    schema = {name: _TYPES.get(name, pl.String) for name in READ}
    parsed = (
        # To read the zone, which is always UTC, would take most of the time.
        pl.col("time").str.slice(0, 26).str.to_datetime("%Y-%m-%dT%H:%M:%S%.6f", time_unit="us", time_zone="UTC"),
        pl.col("event").str.to_date("%Y-%m-%d"),
    )
    yield pl.DataFrame(schema=schema).with_columns(parsed)
    query = _query(tables, environment, since, until)
    found = connection.execution_options(stream_results=True, yield_per=_ROWS).execute(query)
    for part in found.partitions():
        columns = dict(zip(READ, zip(*part, strict=True), strict=True))
        yield pl.DataFrame(columns, schema).with_columns(parsed)


def _query(tables: Tables, environment: str, since: str | None, until: str | None) -> "sa.Select[Any]":
    table, outcomes = tables.predictions.c, tables.outcomes.c
    query = (
        sa.select(*(outcomes.day if name == "event" else table[name] for name in READ))
        .select_from(tables.with_outcomes)
        .where(table.environment == environment)
    )
    if since is not None:
        query = query.where(table.time >= since)
    if until is not None:
        query = query.where(table.time < until)
    return query.order_by(*tables.predictions.primary_key)
