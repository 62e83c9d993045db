"""The record of every effect: rows that are only ever appended, each chained to the one before by SHA-256."""

import getpass
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.core.errors import UserError
from champion.registry.stores import Store
from champion.repository.git import head_commit

if TYPE_CHECKING:
    import sqlalchemy as sa

ANCHOR = "ledger-head.json"
ORIGIN = "0" * 64
LOCK_SECONDS = 10
# Any number will do, as long as every version of this program uses the same.
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


@dataclass(frozen=True)
class Row:
    """One effect: who did what, where, from what to what, why, with which code and which model."""

    sequence: int
    time: str
    actor: str
    action: str
    environment: str | None = None
    version: str | None = None
    from_version: str | None = None
    reason: str | None = None
    git_commit: str | None = None
    model_sha256: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    previous_hash: str = ORIGIN
    hash: str = ""

    @property
    def when(self) -> datetime:
        """The time of the effect, in UTC."""
        return datetime.fromisoformat(self.time)

    def computed_hash(self) -> str:
        """SHA-256 of everything in the row but its own hash, as canonical JSON."""
        content = {key: value for key, value in asdict(self).items() if key != "hash"}
        return hashlib.sha256(_canonical(content).encode()).hexdigest()

    def as_json(self) -> bytes:
        """The row as the bytes of a JSON file."""
        return (json.dumps(asdict(self), indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Row | None":
        """The row that `as_json` wrote; None when the bytes are not one, or its hash is not that of its content."""
        try:
            row = cls(**json.loads(content))
            return row if row.computed_hash() == row.hash else None
        except (ValueError, TypeError):
            return None


class Appending:
    """The ledger while this process alone may append to it."""

    def __init__(self, connection: "sa.Connection", table: "sa.Table", rows: list[Row], root: Path) -> None:
        self.rows = rows
        self._connection = connection
        self._table = table
        self._root = root

    def append(self, action: str, **fields: Any) -> Row:
        """Add a row for an effect of now; it is there for others when the `appending` block ends."""
        return self.append_row(
            Row(0, datetime.now(UTC).isoformat(), actor(), action, git_commit=head_commit(self._root), **fields)
        )

    def append_row(self, row: Row) -> Row:
        """Add a row that tells of an earlier effect, at the end of the chain."""
        last = self.rows[-1] if self.rows else None
        row = replace(
            row,
            sequence=last.sequence + 1 if last else 1,
            details=json.loads(_canonical(row.details)),
            previous_hash=last.hash if last else ORIGIN,
        )
        row = replace(row, hash=row.computed_hash())
        self._connection.execute(self._table.insert().values(asdict(row) | {"details": _canonical(row.details)}))
        self.rows.append(row)
        return row


class Ledger:
    """The ledger in a SQLAlchemy database, with the chain's head kept in the registry as well, beyond its reach."""

    def __init__(self, url: str, anchor: Store, name: str, root: Path = Path()) -> None:
        self._url = url
        self._anchor = anchor
        self._name = name
        self._root = root

    def rows(self) -> list[Row]:
        """Every row, oldest first."""
        if self._sqlite_file is not None and not self._sqlite_file.exists():
            return []
        with self._connected(writing=False) as connection:
            return self._read(connection)

    @contextmanager
    def appending(self) -> Iterator[Appending]:
        """Rows appended in the block are kept when it ends well and forgotten when it raises.

        One process at a time, whichever the database; another waits, then gets a `UserError`.
        """
        if self._sqlite_file is not None:
            self._sqlite_file.parent.mkdir(parents=True, exist_ok=True)
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
        """Sequence and hash of the last row that the registry was told of."""
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
            # The effect is done and recorded; the next row raises the anchor past this one.
            print(f"warning: {ANCHOR} in the registry was not updated: {error}", file=sys.stderr)

    def _read(self, connection: "sa.Connection") -> list[Row]:
        import sqlalchemy as sa

        if not sa.inspect(connection).has_table(self._table.name):
            return []
        found = connection.execute(self._table.select().order_by(self._table.c.sequence)).mappings()
        return [Row(**(dict(row) | {"details": json.loads(row["details"])})) for row in found]

    def _lock(self, connection: "sa.Connection") -> None:
        """SQLite's BEGIN IMMEDIATE locks by itself."""
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
            raise self._told(error) from None

    def _told(self, error: "sa.exc.DBAPIError") -> UserError:
        reason = str(error.orig)
        if "database is locked" in reason or getattr(error.orig, "sqlstate", None) == "55P03":
            return UserError(
                f"the ledger of {self._name} is being written by another command, for more than {LOCK_SECONDS} s. "
                "Nothing was changed; run this again when it is done."
            )
        return UserError(
            f"the database of {self._name} cannot be used ({type(error.orig).__name__}; the address is not shown, it "
            "may hold a password): it is down, full, or the credentials are wrong. Correct that and run this again."
        )

    @cached_property
    def _engine(self) -> "sa.Engine":
        import sqlalchemy as sa

        try:
            url = sa.make_url(self._url)
            timeout = "timeout" if url.get_backend_name() == "sqlite" else "connect_timeout"
            engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={timeout: LOCK_SECONDS})
        except (sa.exc.ArgumentError, ModuleNotFoundError, ValueError):
            raise UserError(
                f"database_url of {self._name} is not a usable SQLAlchemy URL (not shown: it may hold a password)."
            ) from None
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

    @cached_property
    def _sqlite_file(self) -> Path | None:
        prefix = "sqlite:///"
        return Path(self._url.removeprefix(prefix)) if self._url.startswith(prefix) else None


def breaks(rows: Sequence[Row], head: tuple[int, str] | None) -> list[str]:
    """One sentence per place where the rows are not the chain that was appended; empty when they are."""
    found = []
    previous = ORIGIN
    for expected, row in enumerate(rows, start=1):
        if row.computed_hash() != row.hash:
            found.append(f"ledger row {row.sequence} was edited: its content does not give its hash")
        if row.sequence != expected or row.previous_hash != previous:
            found.append(f"ledger row {row.sequence} does not follow the row before it: one was removed or replaced")
        previous = row.hash
    if head is not None:
        sequence, digest = head
        if sequence > len(rows):
            found.append(f"the ledger ends at row {len(rows)}, the registry knows of row {sequence}: rows were removed")
        elif sequence < 1 or rows[sequence - 1].hash != digest:
            found.append(f"ledger row {sequence} is not the one the registry knows of: rows were replaced")
    return found


def actor() -> str:
    """Who acts: the GitHub user in a workflow, else user@host."""
    return os.environ.get("GITHUB_ACTOR") or f"{getpass.getuser()}@{platform.node()}"


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _only_on(dialect: str, statement: str) -> Any:
    import sqlalchemy as sa

    ddl: Any = sa.DDL
    return ddl(statement).execute_if(dialect=dialect)


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: "sa.Connection") -> None:
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
