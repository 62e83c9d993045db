"""Reading a table or a query from a database, with the window applied there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import polars as pl
import sqlalchemy as sa

from champion.data.window import Window
from champion.errors import UserError
from champion.params import Columns, SqlSource

BATCH_ROWS = 65_536


def read_sql(source: SqlSource, columns: Columns, window: Window | None) -> pl.DataFrame:
    """Rows of the table or query, streamed in batches and sorted: a database promises no order, equal rows must.

    A table is read within the window, declared columns only. A query may use `:start` and `:end`, the window's bounds.
    Raises `UserError`, which never shows the URL: it may hold a password.
    """
    with _connected(source) as connection:
        statement = _select_table(source.table, columns, window, connection) if source.table else _bind(source, window)
        result = connection.execution_options(stream_results=True).execute(statement)
        names = list(result.keys())
        batches = [
            pl.DataFrame([tuple(row) for row in rows], schema=names, orient="row", infer_schema_length=None)
            for rows in result.partitions(BATCH_ROWS)
        ]
    if not batches:
        raise UserError(f"{source.table or 'ingest.query'}: no row in the window. Correct `as_of` in params.yaml.")
    return pl.concat(batches, how="vertical_relaxed").sort(names, nulls_last=True)


@contextmanager
def _connected(source: SqlSource) -> Iterator[sa.Connection]:
    url = os.environ.get(source.url_env)
    if not url:
        raise UserError(
            f"the environment variable {source.url_env} is not set. Put the database's SQLAlchemy URL there, such as "
            "postgresql+psycopg://user:password@host/database."
        )
    try:
        engine = sa.create_engine(url)
    except (sa.exc.ArgumentError, ModuleNotFoundError, ValueError):
        raise UserError(f"{source.url_env}: not a usable SQLAlchemy URL (not shown: it may hold a password).") from None
    try:
        connection = engine.connect()
    except sa.exc.DBAPIError:
        raise UserError(
            f"the database of {source.url_env} cannot be reached: it is down, or the credentials are wrong "
            "(not shown). Start it, or correct the variable."
        ) from None
    try:
        with connection:
            yield connection
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise UserError(f"the database of {source.url_env} refused the query of `ingest`: {reason}.") from None
    finally:
        engine.dispose()


def _select_table(name: str, columns: Columns, window: Window | None, connection: sa.Connection) -> sa.Select[Any]:
    schema, _, bare = name.rpartition(".")
    try:
        table = sa.Table(bare, sa.MetaData(), schema=schema or None, autoload_with=connection)
    except sa.exc.NoSuchTableError:
        raise UserError(f"{name}: the database has no such table. Correct `ingest.table` in params.yaml.") from None
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise UserError(f"{name}: the column {missing[0]!r} is missing. Correct `columns` in params.yaml.")
    query = sa.select(*(table.columns[column] for column, spec in columns.items() if spec.role != "ignore"))
    when = columns.only("date")
    if window is None or when is None:
        return query
    start, end = (_comparable(table.columns[when], bound) for bound in (window.start, window.end))
    return query.where(
        sa.or_(table.columns[when].is_(None), sa.and_(table.columns[when] >= start, table.columns[when] < end))
    )


def _comparable(column: sa.Column[Any], bound: date) -> date | str:
    """ISO dates kept as text, as SQLite does, compare as text."""
    return bound if isinstance(column.type, sa.Date | sa.DateTime) else bound.isoformat()


def _bind(source: SqlSource, window: Window | None) -> sa.TextClause:
    statement = sa.text(source.query or "")
    bounds = {"start": window.start, "end": window.end} if window else {}
    return statement.bindparams(**{name: value for name, value in bounds.items() if f":{name}" in str(statement)})
