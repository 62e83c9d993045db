"""The ledger's database: its engine, its transactions and its errors, which show no address."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from champion.core.errors import UnavailableError
from champion.databases import make_engine, public_address, sqlite_file

if TYPE_CHECKING:
    import sqlalchemy as sa

LOCK_SECONDS = 10
# Any number works, but every version of this program must use the same one.
POSTGRESQL_LOCK = 4_713_402_881


class LedgerDatabase:
    """A database at a SQLAlchemy URL. `name` is the environment's, for messages."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._file = sqlite_file(url)

    @property
    def address(self) -> str:
        """The address of the database, without secrets."""
        return public_address(self._url)

    @property
    def exists(self) -> bool:
        """Whether it can be looked into: SQLite would create a file that is missing."""
        return self._file is None or self._file.exists()

    def make_folder(self) -> None:
        """Make the folder of a SQLite file."""
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def connected(self, *, writing: bool) -> Iterator["sa.Connection"]:
        """A transaction, saved when the block ends without an exception; only one at a time is `writing`.

        Raises `UnavailableError` when the database cannot be used, or another one is writing for too long.
        """
        import sqlalchemy as sa

        try:
            with self._engine.execution_options(writing=writing).begin() as connection:
                if writing:
                    self._lock(connection)
                yield connection
        except sa.exc.DBAPIError as error:
            raise self._explain(error) from None

    def _lock(self, connection: "sa.Connection") -> None:
        """Lock the ledger in PostgreSQL; SQLite needs nothing, because BEGIN IMMEDIATE locks it."""
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({POSTGRESQL_LOCK})")

    def _explain(self, error: "sa.exc.DBAPIError") -> UnavailableError:
        reason, state = str(error.orig), getattr(error.orig, "sqlstate", None)
        if "database is locked" in reason or state == "55P03":
            return UnavailableError(
                f"another command has been writing to the ledger of {self._name} for more than {LOCK_SECONDS} s. "
                "Nothing was changed. Run this again when the other command has ended."
            )
        if state == "42501":
            return UnavailableError(
                f"the database role that is used for {self._name} lacks a permission. The owner of the table creates "
                "and updates it; other roles may read and insert (docs/operations.md), each in its own environment "
                "(docs/delivery.md)."
            )
        return UnavailableError(
            f"the database of {self._name} cannot be used ({type(error.orig).__name__}): it is down or full, or the "
            "credentials are wrong. Correct that, and run this again. (The address is hidden: it may hold a password.)"
        )

    @cached_property
    def _engine(self) -> "sa.Engine":
        import sqlalchemy as sa

        timeout = "timeout" if self._url.startswith("sqlite") else "connect_timeout"
        options = {"poolclass": sa.NullPool, "connect_args": {timeout: LOCK_SECONDS}}
        engine = make_engine(self._url, f"database_url of {self._name}", **options)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _leave_transactions_to_us)
            sa.event.listen(engine, "begin", _begin)
        return engine


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: "sa.Connection") -> None:
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
