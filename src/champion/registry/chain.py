"""The rows of the ledger. Each row records one action, and SHA-256 chains it to the row before it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

ORIGIN = "0" * 64


@dataclass(frozen=True)
class Row:
    """One action: who did what, in which environment, from and to which version, why, with which code and model."""

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
        """The time of the action, in UTC."""
        return datetime.fromisoformat(self.time)

    @property
    def outcome(self) -> bool | None:
        """Whether a smoke test passed or a challenger won; None for any other action."""
        answer = self.details.get("passed", self.details.get("promoted"))
        return None if answer is None else answer is True

    @property
    def result(self) -> str | None:
        """The result of a smoke test or a challenge, in one word; None for any other action."""
        words = {"smoke": ("passed", "FAILED"), "challenge": ("won", "lost")}.get(self.action)
        return None if words is None else words[self.outcome is not True]

    @property
    def is_emergency(self) -> bool:
        """Whether it was an emergency promotion, which needs no proof."""
        return self.details.get("emergency") is True

    def computed_hash(self) -> str:
        """SHA-256 of the row without its hash, as canonical JSON."""
        content = {key: value for key, value in asdict(self).items() if key != "hash"}
        return hashlib.sha256(canonical(content).encode()).hexdigest()

    def as_json(self) -> bytes:
        """The row as the bytes of a JSON file."""
        return (json.dumps(asdict(self), indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Row | None":
        """The row that `as_json` wrote; None when the bytes are not a row, or its hash does not fit its content."""
        try:
            row = cls(**json.loads(content))
            return row if row.computed_hash() == row.hash else None
        except (ValueError, TypeError):
            return None


def canonical(content: Mapping[str, Any]) -> str:
    """The JSON text of the content that is hashed; equal content gives equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def breaks(rows: Sequence[Row], head: tuple[int, str] | None) -> list[str]:
    """One sentence per break of the chain or difference from `head`, the last row that the registry knows."""
    found = []
    previous = ORIGIN
    for expected, row in enumerate(rows, start=1):
        if row.computed_hash() != row.hash:
            found.append(f"ledger row {row.sequence} was edited: its hash does not fit its content")
        if row.sequence != expected or row.previous_hash != previous:
            found.append(f"ledger row {row.sequence} does not follow the row before it: a row was removed or replaced")
        previous = row.hash
    if head is not None:
        sequence, digest = head
        if sequence > len(rows):
            found.append(f"the ledger ends at row {len(rows)}, the registry knows row {sequence}: rows were removed")
        elif sequence < 1 or rows[sequence - 1].hash != digest:
            found.append(f"ledger row {sequence} differs from the one that the registry knows: rows were replaced")
    return found
