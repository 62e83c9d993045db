"""The database of what was answered. It is not the ledger's, and has a role of its own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Self

from champion.core.errors import UnavailableError, UserError
from champion.databases import make_engine, sqlite_file
from champion.environments import FILE, Environment

if TYPE_CHECKING:
    import polars as pl
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql, sqlite

    from champion.predictions.record import Answered, Record
    from champion.predictions.tables import Tables
    from champion.predictions.variants import Tally

BUSY_SECONDS = 10.0
# Until the transaction ends, nobody else makes tables.
_SQLITE_LOCK = "BEGIN IMMEDIATE"
_POSTGRESQL_LOCK = "SELECT pg_advisory_xact_lock(hashtext('champion predictions'))"


class PredictionLog:
    """The log at a SQLAlchemy URL. Each method raises `UnavailableError` when the database cannot be used."""

    def __init__(self, url: str, environment: str) -> None:
        self._url, self._environment = url, environment

    @classmethod
    def open(cls, environment: Environment) -> Self:
        """The environment's log, with its tables. Raises `UserError` when it has none or it cannot be used."""
        if environment.predictions_url is None:
            raise UserError(f"{environment.name} logs no predictions: {FILE} has no `predictions_url`. Add it.")
        log = cls(environment.predictions_url, environment.name)
        log.prepare()
        return log

    def prepare(self) -> None:
        """Make the tables that are missing."""
        path = sqlite_file(self._url)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._connected() as connection:
            if self._is_sqlite:
                # Who reads the log must not hold up who adds to it.
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            # A server's threads begin at once, and the second one must see the tables of the first.
            connection.exec_driver_sql(_SQLITE_LOCK if self._is_sqlite else _POSTGRESQL_LOCK)
            self._tables.metadata.create_all(connection)

    def add(self, records: "Sequence[Record]") -> None:
        """Add the answers that are not there yet, and what was said of outcomes if it is new: all or nothing."""
        from msgspec.structs import asdict

        from champion.predictions.record import Answered, Complete, Outcome

        answered = [row for record in records if isinstance(record, Answered) for row in self._rows(record)]
        outcomes = [asdict(record) for record in records if isinstance(record, Outcome)]
        complete = [asdict(record) for record in records if isinstance(record, Complete)]
        with self._connected() as connection:
            if answered:
                connection.exec_driver_sql(self._insertion, answered)
            self._say(connection, outcomes, complete)

    def say(self, outcomes: Sequence[Mapping[str, Any]], complete: Sequence[Mapping[str, Any]] = ()) -> None:
        """Add what was said of outcomes, if it is new: mappings with the fields of `Outcome` and of `Complete`."""
        with self._connected() as connection:
            self._say(connection, outcomes, complete)

    def read(self, since: datetime | None, until: datetime | None) -> "Iterator[pl.DataFrame]":
        """The environment's rows from `since` on and before `until`, sorted by time, in parts with equal columns.

        The first part is empty. `features` is a JSON object, as versions can read different columns. `event` is the day
        of the row's event, null while none is known.
        """
        from champion.predictions.reading import read_rows

        first, last = (None if moment is None else _written(moment) for moment in (since, until))
        with self._connected() as connection:
            yield from read_rows(connection, self._tables, self._environment, first, last)

    def tally(self) -> "list[Tally]":
        """All rows of the environment, counted. It reads the whole log, which takes seconds for a million rows."""
        import msgspec

        from champion.predictions.tally import tally_query
        from champion.predictions.variants import Tally

        with self._connected() as connection:
            found = connection.execute(tally_query(self._tables, self._environment)).mappings().all()
        # Days are texts, and SQLAlchemy's names are not quite texts.
        return msgspec.convert([{str(name): value for name, value in one.items()} for one in found], list[Tally])

    def erase(self, user: str) -> int:
        """Remove the rows of the user with this pseudonym, and their outcomes. Returns how many rows they were."""
        table = self._tables.predictions
        return self._remove(table.c.user == user)

    def remove_before(self, moment: datetime) -> None:
        """Remove the environment's rows from before this moment, and their outcomes."""
        self._remove(self._tables.predictions.c.time < _written(moment))

    def complete_through(self) -> date | None:
        """The day up to which all events are known, the day included; None while nobody said one."""
        import sqlalchemy as sa

        table = self._tables.completeness
        with self._connected() as connection:
            found = connection.scalar(sa.select(table.c.through).where(table.c.environment == self._environment))
        return None if found is None else date.fromisoformat(found)

    def _remove(self, chosen: "sa.ColumnElement[bool]") -> int:
        import sqlalchemy as sa

        table, outcomes = self._tables.predictions, self._tables.outcomes
        chosen = sa.and_(table.c.environment == self._environment, chosen)
        ids = sa.select(table.c.request_id).where(chosen)
        with self._connected() as connection:
            here = outcomes.c.environment == self._environment
            connection.execute(sa.delete(outcomes).where(here, outcomes.c.request_id.in_(ids)))
            return connection.execute(sa.delete(table).where(chosen)).rowcount

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _say(
        self,
        connection: "sa.Connection",
        outcomes: Sequence[Mapping[str, Any]],
        complete: Sequence[Mapping[str, Any]],
    ) -> None:
        for said, table, column in (
            (outcomes, self._tables.outcomes, "day"),
            (complete, self._tables.completeness, "through"),
        ):
            times = [_written_at(one["time"]) for one in said]
            rows = [{**one, "environment": self._environment, "time": at} for one, at in zip(said, times, strict=True)]
            if rows:
                connection.execute(self._newest(table, column), rows)

    def _rows(self, record: "Answered") -> "Iterator[tuple[Any, ...]]":
        """The record's rows with a value for each column of the table, in their order."""
        written = _written_at(record.time)
        said = (self._environment, record.request_id, record.user, record.version, record.variant)
        for number, row in enumerate(record.rows):
            # The features stay JSON, as PostgreSQL takes no NUL in a text.
            answer = (row.probability, row.decision, row.out_of_scope, bytes(row.features).decode())
            yield (written, record.worker, record.sequence, number, *said, *answer)

    @contextmanager
    def _connected(self) -> "Iterator[sa.Connection]":
        """A transaction."""
        import sqlalchemy as sa

        try:
            with self._engine.begin() as connection:
                yield connection
        except (sa.exc.SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            reason = type(getattr(error, "orig", None) or error).__name__
            raise UnavailableError(
                f"the prediction log of {self._environment} cannot be used ({reason}). Check that its database runs, "
                "and that `predictions_url` names it."
            ) from None

    @cached_property
    def _engine(self) -> "sa.Engine":
        is_sqlite = sqlite_file(self._url) is not None
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS} if is_sqlite else {"connect_timeout": 5}}
        # Values have no names, so that many rows reach the database as they are.
        options["paramstyle"] = "qmark" if is_sqlite else "format"
        return make_engine(self._url, f"predictions_url of {self._environment}", pool_pre_ping=True, **options)

    @property
    def _is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    @cached_property
    def _tables(self) -> "Tables":
        from champion.predictions.tables import make_tables

        return make_tables()

    @cached_property
    def _insertion(self) -> str:
        """An insertion that leaves out what is there, in the database's words: SQLAlchemy would look at each value."""
        insertion = self._insert(self._tables.predictions).on_conflict_do_nothing()
        return str(insertion.compile(dialect=self._engine.dialect))

    def _newest(self, table: "sa.Table", column: str) -> "sa.Insert":
        """An insertion after which the table has what was said last."""
        insertion = self._insert(table)
        new = insertion.excluded
        return insertion.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={column: new[column], "time": new.time},
            where=new.time >= table.c.time,
        )

    def _insert(self, table: "sa.Table") -> "postgresql.Insert | sqlite.Insert":
        from sqlalchemy.dialects import postgresql, sqlite

        return sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)


def _written(moment: datetime) -> str:
    """A moment as the log has it: text that sorts as the moments do, in every database."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _written_at(seconds: float) -> str:
    """The same of seconds since 1970."""
    second, microsecond = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_written_second(second)}.{microsecond:06d}+00:00"


@lru_cache(8)
def _written_second(second: int) -> str:
    # Most rows are of the same second as the one before, and this takes longest of what is done with a row.
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
