"""The database of what was answered. It is not the ledger's, and has a role of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from champion.core.errors import UnavailableError
from champion.databases import make_engine, sqlite_file

if TYPE_CHECKING:
    import polars as pl
    import sqlalchemy as sa

    from champion.predictions.record import Record

BUSY_SECONDS = 10.0


# The columns that a reader gets.
READ = (
    *("time", "user", "request_id", "row", "version", "variant"),
    *("probability", "decision", "out_of_scope", "features"),
)
# Rows that are in memory at a time.
READ_ROWS = 50_000


class PredictionLog:
    """The log at a SQLAlchemy URL. Each method raises `UnavailableError` when the database cannot be used."""

    def __init__(self, url: str, environment: str) -> None:
        self._url, self._environment = url, environment

    def prepare(self) -> None:
        """Make the table if it is missing."""
        path = sqlite_file(self._url)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._connected() as connection:
            self._table.metadata.create_all(connection)

    def add(self, records: "Sequence[Record]") -> None:
        """Add the records that are not there yet, all or none of them."""
        rows = [row for record in records for row in self._rows(record)]
        if rows:
            with self._connected() as connection:
                connection.execute(self._insertion, rows)

    def read(self, since: datetime | None, until: datetime | None) -> "Iterator[pl.DataFrame]":
        """The environment's rows from `since` on and before `until`, sorted by time, in parts with equal columns.

        The first part is empty.
        `features` is a JSON object, as versions can read different columns.
        """
        import polars as pl
        import sqlalchemy as sa

        table = self._table
        query = sa.select(*(table.c[name] for name in READ)).where(table.c.environment == self._environment)
        if since is not None:
            query = query.where(table.c.time >= _written(since))
        if until is not None:
            query = query.where(table.c.time < _written(until))
        query = query.order_by(table.c.time, table.c.request_id, table.c.row)
        types = {"row": pl.Int32, "probability": pl.Float64, "decision": pl.Boolean}
        schema = {name: types.get(name, pl.String) for name in READ}
        yield pl.DataFrame(schema=schema | {"time": pl.Datetime("us", "UTC")})
        moments = pl.col("time").str.to_datetime(time_unit="us", time_zone="UTC")
        with self._connected() as connection:
            found = connection.execution_options(stream_results=True, yield_per=READ_ROWS).execute(query)
            for part in found.partitions():
                yield pl.DataFrame([tuple(row) for row in part], schema, orient="row").with_columns(moments)

    def erase(self, user: str) -> int:
        """Remove the rows of the user with this pseudonym. Returns how many they were."""
        import sqlalchemy as sa

        table = self._table
        with self._connected() as connection:
            erasure = sa.delete(table).where(table.c.environment == self._environment, table.c.user == user)
            return connection.execute(erasure).rowcount

    def remove_before(self, moment: datetime) -> None:
        """Remove the environment's rows from before this moment."""
        import sqlalchemy as sa

        table = self._table
        with self._connected() as connection:
            old = table.c.time < _written(moment)
            connection.execute(sa.delete(table).where(table.c.environment == self._environment, old))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _rows(self, record: "Record") -> "Iterator[dict[str, Any]]":
        shared = {
            "worker": record.worker,
            "sequence": record.sequence,
            "environment": self._environment,
            "time": _written(datetime.fromtimestamp(record.time, UTC)),
            "request_id": record.request_id,
            "user": record.user,
            "version": record.version,
            "variant": record.variant,
        }
        for number, row in enumerate(record.rows):
            yield {
                **shared,
                "row": number,
                "probability": row.probability,
                "decision": row.decision,
                "out_of_scope": row.out_of_scope,
                # It stays JSON, as PostgreSQL takes no NUL in a text.
                "features": bytes(row.features).decode(),
            }

    @contextmanager
    def _connected(self) -> "Iterator[sa.Connection]":
        """A transaction."""
        import sqlalchemy as sa

        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            reason = type(getattr(error, "orig", None) or error).__name__
            raise UnavailableError(
                f"the prediction log of {self._environment} cannot be used ({reason}). Check that its database runs, "
                "and that `predictions_url` names it."
            ) from None

    @cached_property
    def _engine(self) -> "sa.Engine":
        is_sqlite = sqlite_file(self._url) is not None
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS} if is_sqlite else {"connect_timeout": 5}}
        return make_engine(self._url, f"predictions_url of {self._environment}", pool_pre_ping=True, **options)

    @cached_property
    def _table(self) -> "sa.Table":
        import sqlalchemy as sa

        return sa.Table(
            "predictions",
            sa.MetaData(),
            sa.Column("worker", sa.Text, primary_key=True),
            sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("environment", sa.Text, nullable=False),
            sa.Column("time", sa.Text, nullable=False, index=True),
            sa.Column("request_id", sa.Text, nullable=False, index=True),
            sa.Column("user", sa.Text),
            sa.Column("version", sa.Text, nullable=False),
            sa.Column("variant", sa.Text),
            sa.Column("probability", sa.Double),
            sa.Column("decision", sa.Boolean),
            sa.Column("out_of_scope", sa.Text),
            sa.Column("features", sa.Text, nullable=False),
            sqlite_with_rowid=False,
        )

    @cached_property
    def _insertion(self) -> "sa.Insert":
        """An insertion that leaves out what is there."""
        from sqlalchemy.dialects import postgresql, sqlite

        if self._engine.dialect.name == "sqlite":
            return sqlite.insert(self._table).on_conflict_do_nothing()
        return postgresql.insert(self._table).on_conflict_do_nothing()


def _written(moment: datetime) -> str:
    """A moment as the log has it: text that sorts as the moments do, in every database."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
