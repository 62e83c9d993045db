"""The ledger's head: the last row, as the registry has it, out of the reach of the ledger's database."""

import json
from collections.abc import Sequence

from champion.core.errors import UserError, warn
from champion.registry.chain import HEAD, ORIGIN, Row
from champion.registry.stores import Store


class Head:
    """Sequence and hash of the ledger's last row, in a file of the registry."""

    def __init__(self, registry: Store) -> None:
        self._registry = registry

    def read(self) -> tuple[int, str] | None:
        """Sequence and hash, None if the registry has none, (-1, "") if they are damaged."""
        content = self._registry.read(HEAD)
        if content is None:
            return None
        try:
            head = json.loads(content)
            return int(head["sequence"]), str(head["hash"])
        except (ValueError, KeyError, TypeError):
            return -1, ""

    def begin(self) -> None:
        """Write a head of no row. So a ledger that lost all rows differs from a new one."""
        self._registry.write(HEAD, _as_json(0, ORIGIN))

    def move(self, rows: Sequence[Row]) -> None:
        """Write the last row, unless the old head is newer or not in the chain."""
        try:
            sequence, digest = self.read() or (-1, "")
            if sequence > rows[-1].sequence:
                return
            if (sequence, digest) != (0, ORIGIN) and all(
                (row.sequence, row.hash) != (sequence, digest) for row in rows
            ):
                warn(f"{HEAD} in the registry was not updated: the chain is broken")
                return
        except (OSError, UserError) as error:
            _warn(error)
            return
        self.write(rows[-1])

    def write(self, row: Row) -> None:
        """Write the row. If that fails, a warning says so, because the row is in the ledger already."""
        try:
            self._registry.write(HEAD, _as_json(row.sequence, row.hash))
        except (OSError, UserError) as error:
            _warn(error)


def _as_json(sequence: int, digest: str) -> bytes:
    return (json.dumps({"sequence": sequence, "hash": digest}, sort_keys=True) + "\n").encode()


def _warn(error: Exception) -> None:
    # The action is done and recorded, and the next row will update the head.
    warn(f"{HEAD} in the registry was not updated: {error}")
