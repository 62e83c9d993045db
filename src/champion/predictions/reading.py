"""Reads the rows of the prediction log as tables."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import polars as pl
import sqlalchemy as sa

from champion.predictions.tables import Tables

# The columns that a reader gets.
READ = (
    *("time", "user", "request_id", "row", "version", "variant"),
    *("probability", "decision", "out_of_scope", "features", "event"),
)
# Rows of a part.
_ROWS = 50_000
# Rows that are Python objects at a time: of more, the garbage collector would look at each again and again.
_FETCHED = 1_000
_TYPES = {"row": pl.Int32, "probability": pl.Float64, "decision": pl.Int8}


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
        pl.col("decision").cast(pl.Boolean),
    )
    yield pl.DataFrame(schema=schema).with_columns(parsed)
    query = _query(tables, environment, since, until)
    compiled: Any = query.compile(connection)
    # The driver's own cursor, as SQLAlchemy's rows take as long again. PostgreSQL sends all rows unless it has a name.
    cursor: Any = connection.connection.cursor(*([] if connection.dialect.name == "sqlite" else ["predictions"]))
    with closing(cursor):
        cursor.execute(compiled.string, [compiled.params[name] for name in compiled.positiontup])
        fetched = iter(lambda: cursor.fetchmany(_FETCHED), [])
        while parts := [_table(rows, schema) for rows in islice(fetched, _ROWS // _FETCHED)]:
            yield pl.concat(parts).with_columns(parsed)


def _table(rows: list[tuple[Any, ...]], schema: Any) -> pl.DataFrame:
    return pl.DataFrame(dict(zip(schema, zip(*rows, strict=True), strict=True)), schema)


def _query(tables: Tables, environment: str, since: str | None, until: str | None) -> "sa.Select[Any]":
    table, outcomes = tables.predictions.c, tables.outcomes.c
    # SQLite has no truth values.
    special: dict[str, sa.ColumnElement[Any]] = {"event": outcomes.day, "decision": sa.cast(table.decision, sa.Integer)}
    query = (
        sa.select(*(special[name] if name in special else table[name] for name in READ))
        .select_from(tables.with_outcomes)
        .where(table.environment == environment)
    )
    if since is not None:
        query = query.where(table.time >= since)
    if until is not None:
        query = query.where(table.time < until)
    return query.order_by(*tables.predictions.primary_key)
