"""The ledger in a database. Rows can only be appended, by one process at a time."""

import getpass
import json
import os
import platform
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from champion.core.errors import ConflictError, UnavailableError, UserError, warn
from champion.core.values import is_blank
from champion.databases import make_engine, public_address, sqlite_file
from champion.registry.chain import ACCEPT, FORMAT, HEAD, ORIGIN, Row, breaks, canonical
from champion.registry.ledger_table import NAME, Table
from champion.registry.signing import signer
from champion.registry.stores import Store
from champion.repository.git import head_commit

if TYPE_CHECKING:
    import sqlalchemy as sa

LOCK_SECONDS = 10
# Any number works, but every version of this program must use the same one.
POSTGRESQL_LOCK = 4_713_402_881
_TOLD = 3


class Appending:
    """The ledger while only this process may append to it. `breaks` has the breaks that it already had."""

    def __init__(
        self, connection: "sa.Connection", table: Table, rows: list[Row], breaks: list[str], ledger: "Ledger"
    ) -> None:
        self.rows = rows
        self.breaks = breaks
        self._connection = connection
        self._table = table
        self._ledger = ledger

    def append(self, action: str, *, reason: str | None = None, **fields: Any) -> Row:
        """Add a row for an action at this moment. Others see the row when the `appending` block ends."""
        last = self.rows[-1] if self.rows else None
        sequence, previous_hash = (last.sequence + 1, last.hash) if last else (1, ORIGIN)
        row = self._ledger.make_row(sequence, previous_hash, action, reason=reason, **fields)
        values = asdict(row) | {"details": canonical(row.details)}
        insert = self._table.definition.insert().values(values).execution_options(preserve_rowcount=True)
        if self._connection.execute(insert).rowcount != 1:
            raise UnavailableError("the database did not save the ledger row. `champion audit` says more.")
        self.rows.append(row)
        return row

    def restore_triggers(self) -> None:
        """Make the table's triggers again if they are wrong. Only the table's owner may do this."""
        if self._table.wrong_triggers(self._connection):
            self._table.restore_triggers(self._connection)


class Ledger:
    """The ledger in a SQLAlchemy database. The registry also has the chain's head, out of the database's reach.

    `root` is the working tree whose commit its new rows name.
    """

    def __init__(self, url: str, registry: Store, name: str, root: Path = Path(), keys: Collection[str] = ()) -> None:
        self._url = url
        self._registry = registry
        self._name = name
        self.root = root
        self._keys = keys
        self._file = sqlite_file(url)
        self._table = Table()

    @property
    def address(self) -> str:
        """The address of the database, without secrets."""
        return public_address(self._url)

    def rows(self) -> list[Row]:
        """Every row, oldest first."""
        return self._look()[0]

    def breaks(self) -> list[str]:
        """One sentence per break of the chain that nobody accepted; empty without a break."""
        return self._examine()[1]

    def trusted_rows(self) -> list[Row]:
        """Every row, oldest first. Raises `ConflictError` when the chain is broken."""
        rows, found, _ = self._examine()
        if found:
            self._refuse(found)
        return rows

    def begin(self) -> None:
        """Check that rows may be appended, before anything else is written. Raises the same errors as `appending`."""
        self._signer()
        rows, found, head = self._examine()
        if found:
            self._refuse(found)
        self._keep_first_head(rows, head)

    @contextmanager
    def appending(self, *, despite_breaks: bool = False) -> Iterator[Appending]:
        """Rows appended in the block are saved when it ends without an exception, else discarded.

        Only one process at a time can be in the block; another process waits, then gets a `UserError`. Raises
        `ConflictError` when the chain is broken. With `despite_breaks` it appends all the same, and leaves the head.
        """
        self._signer()
        outage = []
        # The head is read first; otherwise a row that is appended in between would look like a lost row.
        try:
            head = self.head()
        except (OSError, UnavailableError) as error:
            if not despite_breaks:
                raise
            head, outage = None, [f"the registry's head of the ledger cannot be read: {error}"]
        if self._file is not None and not self._file.exists():
            if (found := self._broken([], head)) and not despite_breaks:
                self._refuse(found)
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._connected(writing=True) as connection:
            self._lock(connection)
            rows = self._read(connection)
            if head is None and rows and not outage:
                head = self.head()
            found = outage or self._broken(rows, head)
            found += self._table.wrong_triggers(connection)
            if found and not despite_breaks:
                self._refuse(found)
            if not outage:
                self._keep_first_head(rows, head)
            self._table.prepare(connection)
            session = Appending(connection, self._table, list(rows), found, self)
            yield session
        # Rows on top of a break are not vouched for before a person accepts it.
        if session.rows != rows and not found:
            self._move_head(session.rows)

    def accept_breaks(self, reason: str, seen_elsewhere: Sequence[str] = ()) -> Row:
        """Record that a person accepts every break, here or `seen_elsewhere`, and write the head again.

        Raises `ConflictError` when there is no break, and `UnavailableError` when the registry cannot be reached.
        """
        self.head()
        with self.appending(despite_breaks=True) as session:
            found = [*session.breaks, *seen_elsewhere]
            if not found:
                raise ConflictError(f"the ledger of {self._name} has no break, so there is nothing to accept.")
            session.restore_triggers()
            row = session.append(ACCEPT, reason=reason, details={"breaks": found})
        self._write_head(row)
        return row

    def head(self) -> tuple[int, str] | None:
        """Sequence and hash of the last row, as the registry has them; None if it has none, (-1, "") if damaged."""
        content = self._registry.read(HEAD)
        if content is None:
            return None
        try:
            head = json.loads(content)
            return int(head["sequence"]), str(head["hash"])
        except (ValueError, KeyError, TypeError):
            return -1, ""

    def make_row(self, sequence: int, previous_hash: str, action: str, *, reason: str | None, **fields: Any) -> Row:
        """A row for an action at this moment, signed if the ledger is. Raises `UserError` for a blank reason."""
        if reason is not None and is_blank(reason):
            raise UserError("the reason is blank. Write a reason that other people understand.")
        row = Row(
            sequence=sequence,
            time=datetime.now(UTC).isoformat(),
            actor=actor(),
            action=action,
            reason=reason,
            git_commit=head_commit(self.root),
            previous_hash=previous_hash,
            format=FORMAT,
            **fields,
        )
        signing = self._signer()
        row = replace(row, details=json.loads(canonical(row.details)), signed_by=signing[0] if signing else None)
        row = replace(row, hash=row.computed_hash())
        if not row.hash:
            raise UserError("the reason has bytes that are not UTF-8. Write it as text.")
        return replace(row, signature=signing[1](row.hash) if signing else None)

    def _examine(self) -> tuple[list[Row], list[str], tuple[int, str] | None]:
        """Rows, breaks and head. The head is read first, so that a row appended meanwhile does not look lost."""
        head = self.head()
        rows, triggers = self._look()
        if head is None and rows:
            # Another command may have just appended the first rows. It always writes the head before them.
            head = self.head()
            rows, triggers = self._look()
        return rows, self._broken(rows, head) + triggers, head

    def _look(self) -> tuple[list[Row], list[str]]:
        if self._file is not None and not self._file.exists():
            return [], []
        with self._connected(writing=False) as connection:
            return self._read(connection), self._table.wrong_triggers(connection)

    def _broken(self, rows: Sequence[Row], head: tuple[int, str] | None) -> list[str]:
        found = breaks(rows, head, self._keys)
        if head is not None:
            return found
        if rows:
            found.append(f"{self._registry.url}/{HEAD} is missing: the registry keeps the ledger's last row there")
        # The files are listed before the head is read again: a first registration writes it before them.
        elif set(self._registry.keys()) - {HEAD} and self.head() is None:
            found.append(
                f"the registry {self._registry.url} has files of versions, but the ledger {self.address} has no rows: "
                "is `database_url` right?"
            )
        return found

    def _refuse(self, found: Sequence[str]) -> NoReturn:
        more = f"\n  and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        raise ConflictError(
            f"the ledger of {self._name} cannot be trusted, so no command writes to it:\n  "
            + "\n  ".join(found[:_TOLD])
            + f"{more}\n`champion audit` lists them all. Restore the database, or correct `database_url`. If you know "
            'the cause, run `champion accept-break --reason "..."`. In an emergency, `champion rollback --emergency '
            '--reason "..."` still works.'
        )

    def _signer(self) -> Any:
        return signer(self._keys, self._name)

    def _keep_first_head(self, rows: Sequence[Row], head: tuple[int, str] | None) -> None:
        """Write a head before the first row, so that a ledger that lost all rows differs from a new one."""
        if head is None and not rows:
            self._registry.write(HEAD, _as_json(0, ORIGIN))

    def _move_head(self, rows: Sequence[Row]) -> None:
        """Write the last row to the registry's head, unless the old head is newer or not in the chain."""
        try:
            sequence, digest = self.head() or (-1, "")
            if sequence > rows[-1].sequence:
                return
            if (sequence, digest) != (0, ORIGIN) and all(
                (row.sequence, row.hash) != (sequence, digest) for row in rows
            ):
                warn(f"{HEAD} in the registry was not updated: the chain is broken")
                return
        except (OSError, UserError) as error:
            _warn_of_head(error)
            return
        self._write_head(rows[-1])

    def _write_head(self, row: Row) -> None:
        try:
            self._registry.write(HEAD, _as_json(row.sequence, row.hash))
        except (OSError, UserError) as error:
            _warn_of_head(error)

    def _read(self, connection: "sa.Connection") -> list[Row]:
        present = self._table.columns(connection)
        if not present:
            return []
        names = [field.name for field in fields(Row) if field.name in present]
        found = connection.exec_driver_sql(f"SELECT {', '.join(names)} FROM {NAME} ORDER BY sequence").mappings()  # noqa: S608
        return [Row(**(dict(row) | {"details": _parsed(row["details"])})) for row in found]

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


def actor() -> str:
    """Who acts: the GitHub user in a workflow of GitHub Actions, else the operating system's user@host."""
    if os.environ.get("GITHUB_ACTIONS") == "true" and (name := os.environ.get("GITHUB_ACTOR")):
        return name
    return f"{_system_user()}@{platform.node()}"


def _system_user() -> str:
    """The account that the process runs as, whatever LOGNAME and USER say."""
    if os.name != "posix":
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _as_json(sequence: int, digest: str) -> bytes:
    return (json.dumps({"sequence": sequence, "hash": digest}, sort_keys=True) + "\n").encode()


def _warn_of_head(error: Exception) -> None:
    # The action is done and recorded, and the next row will update the head.
    warn(f"{HEAD} in the registry was not updated: {error}")


def _parsed(details: Any) -> dict[str, Any]:
    """A row's details; what is no JSON object is kept in one that gives another hash."""
    try:
        content = json.loads(details)
    except (ValueError, TypeError, RecursionError):
        content = None
    return content if isinstance(content, dict) else {"unreadable": str(details)}


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: "sa.Connection") -> None:
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
