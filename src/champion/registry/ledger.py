"""The ledger: rows can only be appended, by one process at a time, and no row follows a broken chain."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from champion.core.errors import ConflictError, UnavailableError, UserError
from champion.core.values import is_blank
from champion.registry.actor import actor
from champion.registry.chain import ACCEPT, FORMAT, HEAD, ORIGIN, Row, breaks, canonical
from champion.registry.ledger_database import LedgerDatabase
from champion.registry.ledger_head import Head
from champion.registry.ledger_table import Table
from champion.registry.signing import signer
from champion.registry.stores import Store
from champion.repository.git import head_commit

if TYPE_CHECKING:
    import sqlalchemy as sa

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
        self._table.insert(self._connection, row)
        self.rows.append(row)
        return row

    def restore_triggers(self) -> None:
        """Make the table's triggers again if they are wrong. Only the table's owner may do this."""
        if self._table.wrong_triggers(self._connection):
            self._table.restore_triggers(self._connection)


class Ledger:
    """The ledger in a SQLAlchemy database. The registry also has the chain's `head`, out of the database's reach.

    `root` is the working tree whose commit its new rows name.
    """

    def __init__(self, url: str, registry: Store, name: str, root: Path = Path(), keys: Collection[str] = ()) -> None:
        self.root = root
        self._database = LedgerDatabase(url, name)
        self._table = Table()
        self._registry = registry
        self.head = Head(registry)
        self._name = name
        self._keys = keys

    @property
    def address(self) -> str:
        """The address of the database, without secrets."""
        return self._database.address

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
        if head is None and not rows:
            self.head.begin()

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
            head = self.head.read()
        except (OSError, UnavailableError) as error:
            if not despite_breaks:
                raise
            head, outage = None, [f"the registry's head of the ledger cannot be read: {error}"]
        if not self._database.exists:
            if (found := self._broken([], head)) and not despite_breaks:
                self._refuse(found)
            self._database.make_folder()
        with self._database.connected(writing=True) as connection:
            rows = self._table.read(connection)
            if head is None and rows and not outage:
                head = self.head.read()
            found = outage or self._broken(rows, head)
            found += self._table.wrong_triggers(connection)
            if found and not despite_breaks:
                self._refuse(found)
            if not outage and head is None and not rows:
                self.head.begin()
            self._table.prepare(connection)
            session = Appending(connection, self._table, list(rows), found, self)
            yield session
        # Rows on top of a break are not vouched for before a person accepts it.
        if session.rows != rows and not found:
            self.head.move(session.rows)

    def accept_breaks(self, reason: str, seen_elsewhere: Sequence[str] = ()) -> Row:
        """Record that a person accepts every break, here or `seen_elsewhere`, and write the head again.

        Raises `ConflictError` when there is no break, and `UnavailableError` when the registry cannot be reached.
        """
        self.head.read()
        with self.appending(despite_breaks=True) as session:
            found = [*session.breaks, *seen_elsewhere]
            if not found:
                raise ConflictError(f"the ledger of {self._name} has no break, so there is nothing to accept.")
            session.restore_triggers()
            row = session.append(ACCEPT, reason=reason, details={"breaks": found})
        self.head.write(row)
        return row

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
        head = self.head.read()
        rows, triggers = self._look()
        if head is None and rows:
            # Another command may have just appended the first rows. It always writes the head before them.
            head = self.head.read()
            rows, triggers = self._look()
        return rows, self._broken(rows, head) + triggers, head

    def _look(self) -> tuple[list[Row], list[str]]:
        if not self._database.exists:
            return [], []
        with self._database.connected(writing=False) as connection:
            return self._table.read(connection), self._table.wrong_triggers(connection)

    def _broken(self, rows: Sequence[Row], head: tuple[int, str] | None) -> list[str]:
        found = breaks(rows, head, self._keys)
        if head is not None:
            return found
        if rows:
            found.append(f"{self._registry.url}/{HEAD} is missing: the registry keeps the ledger's last row there")
        # The files are listed before the head is read again: a first registration writes it before them.
        elif set(self._registry.keys()) - {HEAD} and self.head.read() is None:
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
