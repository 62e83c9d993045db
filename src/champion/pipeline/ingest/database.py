"""Reading a table or a query from a database, which applies the window."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from champion.core.errors import NoRowsError, UserError
from champion.databases import make_engine
from champion.pipeline.ingest.params import SqlSource
from champion.table.columns import Columns
from champion.table.window import Period

BATCH_ROWS = 65_536


def read_sql(source: SqlSource, columns: Columns, period: Period | None) -> pl.DataFrame:
    """Rows of the table or query, streamed in batches and sorted, because a database guarantees no order.

    Of a table, only declared columns are read; and only rows in the window, if the database knows that the dates are
    dates. A query may use `:start` and `:end`, the window's bounds. Raises `UserError`, which never shows the URL,
    because it may hold a password.
    """
    with _connected(source) as connection:
        statement = _select_table(source, columns, period, connection) if source.table else _bind(source, period)
        inside = period is not None and not (isinstance(statement, sa.Select) and statement.whereclause is None)
        batches = _read_batches(source, statement, connection)
    if not batches:
        raise NoRowsError(
            f"{source.table or 'ingest.query'}: the database has no row{' in the window' if inside else ''}. Correct "
            f"{'`as_of`, or ' if inside else ''}`ingest.{'table' if source.table else 'query'}` in params.yaml."
        )
    rows = pl.concat(batches, how="vertical_relaxed").drop(columns.named("ignore"), strict=False)
    # The outcome comes last, so that what became known later moves no row.
    outcome = {columns.label, columns.only("known")}
    return rows.sort(sorted(rows.columns, key=lambda name: name in outcome), nulls_last=True)


def read_whole_table(source: SqlSource) -> pl.DataFrame:
    """All rows and columns of the source's table, in the database's order. Raises `UserError` as `read_sql`."""
    with _connected(source) as connection:
        table = _reflect(source.table or "", connection)
        statement = sa.select(*(_as_read(column, connection) for column in table.columns))
        batches = _read_batches(source, statement, connection)
    return pl.concat(batches, how="vertical_relaxed") if batches else pl.DataFrame(schema=table.columns.keys())


def _read_batches(source: SqlSource, statement: sa.Executable, connection: sa.Connection) -> list[pl.DataFrame]:
    # The cursor is on the server, so it must be closed even if a row is refused.
    with connection.execution_options(stream_results=True).execute(statement) as result:
        names = list(result.keys())
        return [_frame(source, names, [tuple(row) for row in rows]) for rows in result.partitions(BATCH_ROWS)]


@contextmanager
def _connected(source: SqlSource) -> Iterator[sa.Connection]:
    url = os.environ.get(source.url_env)
    if not url:
        raise UserError(
            f"the environment variable {source.url_env} is not set. Put the database's SQLAlchemy URL there, such as "
            "postgresql+psycopg://user:password@host/database."
        )
    engine = make_engine(url, source.url_env)
    try:
        _refuse_new_file(engine.url, source)
        connection = engine.connect()
    except sa.exc.DBAPIError:
        raise UserError(
            f"the database of {source.url_env} cannot be reached: it is down, or the credentials are wrong "
            "(not shown). Start it, or correct the variable."
        ) from None
    try:
        with connection:
            yield connection
    except (sa.exc.SQLAlchemyError, ValueError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        reason = reason.partition(" (Background on")[0].rstrip(".")
        raise UserError(
            f"the database of {source.url_env} cannot give the rows of `ingest.{'table' if source.table else 'query'}` "
            f"({reason}). Correct it in params.yaml, or correct the data."
        ) from None
    finally:
        engine.dispose()


def _refuse_new_file(url: sa.URL, source: SqlSource) -> None:
    """Refuse a missing SQLite file, because SQLite would create an empty database."""
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).is_file()):
        raise UserError(f"{source.url_env}: its SQLite database is not a file. Correct the path in the variable.")


def _frame(source: SqlSource, names: list[str], rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    try:
        frame = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UserError(f"{source.table or 'ingest.query'}: {reason}. Correct it in the query.") from None
    for name, dtype in frame.schema.items():
        if dtype == pl.Object:
            kind = type(frame[name].drop_nulls()[0]).__name__
            raise UserError(
                f"{source.table or 'ingest.query'}: the column {name!r} holds {kind} values, which fit no `type`. "
                "Cast it to text in `ingest.query`."
            )
    return frame


def _select_table(
    source: SqlSource, columns: Columns, period: Period | None, connection: sa.Connection
) -> sa.Select[Any]:
    name = source.table or ""
    table = _reflect(name, connection)
    wanted = [column for column, spec in columns.items() if spec.role != "ignore"]
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        raise UserError(f"{name}: the column {missing[0]!r} is missing. Correct `columns` in params.yaml.")
    query = sa.select(*(_as_read(table.columns[column], connection) for column in wanted))
    when = columns.only("date")
    if period is None or when is None or _checks_nothing(connection) or not _is_date(table.columns[when]):
        return query
    start, end = (_bound(table.columns[when], day) for day in (period.start, period.end))
    return query.where(
        sa.or_(table.columns[when].is_(None), sa.and_(table.columns[when] >= start, table.columns[when] < end))
    )


def _reflect(name: str, connection: sa.Connection) -> sa.Table:
    schema, _, bare = name.rpartition(".")
    try:
        return sa.Table(bare, sa.MetaData(), schema=schema or None, autoload_with=connection)
    except sa.exc.NoSuchTableError:
        raise UserError(f"{name}: the database has no such table. Correct `ingest.table` in params.yaml.") from None


def _checks_nothing(connection: sa.Connection) -> bool:
    """Whether a column may hold other values than those of its type."""
    return connection.dialect.name == "sqlite"


def _is_date(column: sa.Column[Any]) -> bool:
    return isinstance(column.type, sa.Date | sa.DateTime)


def _as_read(column: sa.Column[Any], connection: sa.Connection) -> sa.ColumnElement[Any]:
    """The column; of dates that may be any text, the text, which is parsed like that of a file."""
    if _checks_nothing(connection) and _is_date(column):
        return sa.type_coerce(column, sa.Text).label(column.name)
    return column


def _bound(column: sa.Column[Any], day: date) -> date:
    return datetime.combine(day, time.min) if isinstance(column.type, sa.DateTime) else day


def _bind(source: SqlSource, period: Period | None) -> sa.TextClause:
    statement = sa.text(source.query or "")
    bounds = {"start": period.start, "end": period.end} if period else {}
    used = statement.compile().params
    return statement.bindparams(**{name: day for name, day in bounds.items() if name in used})
