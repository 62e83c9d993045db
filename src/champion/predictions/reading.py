"""Reads the rows of the prediction log as tables, by way of Arrow: a Python object for each value would take longer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from champion.core.errors import UserError
from champion.predictions.tables import Tables

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Connection

# The columns that a reader gets.
READ = (
    *("time", "user", "request_id", "row", "version", "variant"),
    *("probability", "decision", "out_of_scope", "features", "event"),
)
# Rows that are in memory at a time; the driver of PostgreSQL has its own limit of 16 MB.
_ROWS = 50_000
# What stands for null: the driver takes the type of a column from its first rows, which could all be null.
_NO_TEXT, _NO_NUMBER = "", -1
_TYPES = {"row": pl.Int32, "probability": pl.Float64, "decision": pl.Int8}


def read_rows(
    engine: sa.Engine, tables: Tables, environment: str, since: str | None, until: str | None
) -> Iterator[pl.DataFrame]:
    """The environment's rows from `since` on and before `until`, as the log writes times, sorted by time.

    They come in parts with equal columns, the first of which is empty. Raises `UserError` when the drivers are not
    installed, and `adbc_driver_manager.Error` of the database.
    """
    with _connect(engine) as connection:
        # To join them here takes a third of the time that SQLite needs. Few rows have an event.
        events = _parse_events(pl.concat(_fetch(connection, engine, _events_query(tables, environment))))
        for part in _fetch(connection, engine, _rows_query(tables, environment, since, until)):
            yield _parse(part).join(events, ["request_id", "row"], "left", maintain_order="left").select(READ)


def _rows_query(tables: Tables, environment: str, since: str | None, until: str | None) -> "sa.Select[Any]":
    table = tables.predictions.c
    columns: dict[str, sa.ColumnElement[Any]] = {name: table[name] for name in READ if name in table}
    columns |= {name: sa.func.coalesce(table[name], _NO_TEXT) for name in ("user", "variant", "out_of_scope")}
    columns["probability"] = sa.func.coalesce(table.probability, float(_NO_NUMBER))
    columns["decision"] = sa.case((table.decision.is_(None), _NO_NUMBER), (table.decision, 1), else_=0)
    query = sa.select(*(column.label(name) for name, column in columns.items()))
    query = query.where(table.environment == environment)
    if since is not None:
        query = query.where(table.time >= since)
    if until is not None:
        query = query.where(table.time < until)
    return query.order_by(*tables.predictions.primary_key)


def _events_query(tables: Tables, environment: str) -> "sa.Select[Any]":
    said = tables.outcomes.c
    query = sa.select(said.request_id, said.row, said.day.label("event"))
    return query.where(said.environment == environment, said.day.is_not(None))


def _fetch(connection: "Connection", engine: sa.Engine, query: "sa.Select[Any]") -> Iterator[pl.DataFrame]:
    """The query's result in parts, the first of which is empty."""
    # In the other styles of parameters, SQLAlchemy would double each percent sign.
    dialect: Any = type(engine.dialect)
    statement = str(query.compile(dialect=dialect(paramstyle="named"), compile_kwargs={"literal_binds": True}))
    yield pl.DataFrame(schema={column.name: _TYPES.get(column.name, pl.String) for column in query.selected_columns})
    with connection.cursor() as cursor:
        if engine.dialect.name == "sqlite":
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_ROWS)})
        cursor.execute(statement)
        for batch in _ahead(cursor.fetch_record_batch()):
            # A whole number has another width in each database.
            yield pl.DataFrame(batch).cast({name: of for name, of in _TYPES.items() if name in batch.schema.names})


def _ahead(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    """The same, each fetched while the one before is in use."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = pool.submit(next, batches, None)
            yield batch


def _parse(part: pl.DataFrame) -> pl.DataFrame:
    texts = pl.col("user", "variant", "out_of_scope")
    return part.with_columns(
        # To read the zone, which is always UTC, would take most of the time.
        pl.col("time").str.slice(0, 26).str.to_datetime("%Y-%m-%dT%H:%M:%S%.6f", time_unit="us", time_zone="UTC"),
        pl.when(texts != _NO_TEXT).then(texts).name.keep(),
        pl.when(pl.col("probability") >= 0).then("probability"),
        pl.when(pl.col("decision") >= 0).then(pl.col("decision") == 1),
    )


def _parse_events(events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(pl.col("event").str.to_date("%Y-%m-%d"))


def _connect(engine: sa.Engine) -> Any:
    is_sqlite = engine.dialect.name == "sqlite"
    try:
        driver = import_module(f"adbc_driver_{'sqlite' if is_sqlite else 'postgresql'}.dbapi")
    except ModuleNotFoundError:
        raise UserError("to read the prediction log needs more packages: `make setup GROUP=serving`.") from None
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return driver.connect(engine.url.database if is_sqlite else url)
