"""The ledger in a database. Rows can only be appended, by one process at a time."""

import getpass
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.core.errors import UnavailableError, UserError
from champion.databases import make_engine, public_address, sqlite_file
from champion.registry.chain import ORIGIN, Row, canonical
from champion.registry.stores import Store
from champion.repository.git import head_commit

if TYPE_CHECKING:
    import sqlalchemy as sa

ANCHOR = "ledger-head.json"
LOCK_SECONDS = 10
# Any number works, but every version of this program must use the same one.
POSTGRESQL_LOCK = 4_713_402_881

_APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER ledger_refuses_{verb} BEFORE {verb} ON ledger "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
        "CREATE TRIGGER ledger_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses()",
    ],
}


class Appending:
    """The ledger while only this process may append to it."""

    def __init__(self, connection: "sa.Connection", table: "sa.Table", rows: list[Row], root: Path) -> None:
        self.rows = rows
        self._connection = connection
        self._table = table
        self._root = root

    def append(self, action: str, **fields: Any) -> Row:
        """Add a row for an action at this moment. Others see the row when the `appending` block ends."""
        return self.append_row(
            Row(0, datetime.now(UTC).isoformat(), actor(), action, git_commit=head_commit(self._root), **fields)
        )

    def append_row(self, row: Row) -> Row:
        """Add a row that records an earlier action, at the end of the chain."""
        last = self.rows[-1] if self.rows else None
        row = replace(
            row,
            sequence=last.sequence + 1 if last else 1,
            details=json.loads(canonical(row.details)),
            previous_hash=last.hash if last else ORIGIN,
        )
        row = replace(row, hash=row.computed_hash())
        self._connection.execute(self._table.insert().values(asdict(row) | {"details": canonical(row.details)}))
        self.rows.append(row)
        return row


class Ledger:
    """The ledger in a SQLAlchemy database. The registry also has the chain's head, out of the database's reach."""

    def __init__(self, url: str, anchor: Store, name: str, root: Path = Path()) -> None:
        self._url = url
        self._anchor = anchor
        self._name = name
        self._root = root
        self._file = sqlite_file(url)

    @property
    def address(self) -> str:
        """The address of the database, without secrets."""
        return public_address(self._url)

    def rows(self) -> list[Row]:
        """Every row, oldest first."""
        if self._file is not None and not self._file.exists():
            return []
        with self._connected(writing=False) as connection:
            return self._read(connection)

    @contextmanager
    def appending(self) -> Iterator[Appending]:
        """Rows appended in the block are saved when it ends without an exception, else discarded.

        Only one process at a time can be in the block; another process waits, then gets a `UserError`.
        """
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._connected(writing=True) as connection:
            self._lock(connection)
            self._table.metadata.create_all(connection)
            before = self._read(connection)
            session = Appending(connection, self._table, before, self._root)
            known = len(before)
            yield session
            appended = len(session.rows) > known
        if appended:
            self._raise_anchor(session.rows[-1])

    def head(self) -> tuple[int, str] | None:
        """Sequence and hash of the last row, as the registry has them; None if it has none, (-1, "") if damaged."""
        content = self._anchor.read(ANCHOR)
        if content is None:
            return None
        try:
            head = json.loads(content)
            return int(head["sequence"]), str(head["hash"])
        except (ValueError, KeyError, TypeError):
            return -1, ""

    def _raise_anchor(self, row: Row) -> None:
        head = {"sequence": row.sequence, "hash": row.hash}
        try:
            self._anchor.write(ANCHOR, (json.dumps(head, sort_keys=True) + "\n").encode())
        except (OSError, UserError) as error:
            # The action is done and recorded, and the next row will update the anchor.
            print(f"warning: {ANCHOR} in the registry was not updated: {error}", file=sys.stderr)

    def _read(self, connection: "sa.Connection") -> list[Row]:
        import sqlalchemy as sa

        if not sa.inspect(connection).has_table(self._table.name):
            return []
        found = connection.execute(self._table.select().order_by(self._table.c.sequence)).mappings()
        return [Row(**(dict(row) | {"details": json.loads(row["details"])})) for row in found]

    def _lock(self, connection: "sa.Connection") -> None:
        """Lock the ledger in PostgreSQL; SQLite needs nothing, because BEGIN IMMEDIATE locks it."""
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({POSTGRESQL_LOCK})")

    @contextmanager
    def _connected(self, *, writing: bool) -> Iterator["sa.Connection"]:
        import sqlalchemy as sa

        try:
            with self._engine.execution_options(writing=writing).begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise self._explain(error) from None

    def _explain(self, error: "sa.exc.DBAPIError") -> UserError:
        reason = str(error.orig)
        if "database is locked" in reason or getattr(error.orig, "sqlstate", None) == "55P03":
            return UnavailableError(
                f"another command has been writing to the ledger of {self._name} for more than {LOCK_SECONDS} s. "
                "Nothing was changed. Run this again when the other command has ended."
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

    @cached_property
    def _table(self) -> "sa.Table":
        import sqlalchemy as sa

        optional = ("environment", "version", "from_version", "reason", "git_commit", "model_sha256")
        table = sa.Table(
            "ledger",
            sa.MetaData(),
            sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
            *(sa.Column(name, sa.Text, nullable=False) for name in ("time", "actor", "action")),
            *(sa.Column(name, sa.Text) for name in optional),
            *(sa.Column(name, sa.Text, nullable=False) for name in ("details", "previous_hash", "hash")),
        )
        for dialect, statements in _APPEND_ONLY.items():
            for statement in statements:
                sa.event.listen(table, "after_create", _only_on(dialect, statement))
        return table


def actor() -> str:
    """The person who acts: the GitHub user in a workflow, else user@host."""
    return os.environ.get("GITHUB_ACTOR") or f"{getpass.getuser()}@{platform.node()}"


def _only_on(dialect: str, statement: str) -> Any:
    import sqlalchemy as sa

    ddl: Any = sa.DDL
    return ddl(statement).execute_if(dialect=dialect)


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: "sa.Connection") -> None:
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
