"""The ledger's rows: each is one effect, chained to the one before by SHA-256."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

ORIGIN = "0" * 64


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

    @property
    def outcome(self) -> bool | None:
        """Whether a smoke test passed or a challenger won; None for an effect that has no such answer."""
        answer = self.details.get("passed", self.details.get("promoted"))
        return None if answer is None else answer is True

    @property
    def result(self) -> str | None:
        """How a smoke test or a challenge ended, in one word; None for any other effect."""
        words = {"smoke": ("passed", "FAILED"), "challenge": ("won", "lost")}.get(self.action)
        return None if words is None else words[self.outcome is not True]

    @property
    def is_emergency(self) -> bool:
        """Whether it was a promotion without proof."""
        return self.details.get("emergency") is True

    def computed_hash(self) -> str:
        """SHA-256 of everything in the row but its own hash, as canonical JSON."""
        content = {key: value for key, value in asdict(self).items() if key != "hash"}
        return hashlib.sha256(canonical(content).encode()).hexdigest()

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


def canonical(content: Mapping[str, Any]) -> str:
    """The one JSON text of the content, by which it is hashed."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


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
