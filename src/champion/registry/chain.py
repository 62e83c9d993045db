"""The rows of the ledger. Each row records one action, and SHA-256 chains it to the row before it.

Where there is a key, the row is signed as well.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from champion.registry.signing import is_signed

ORIGIN = "0" * 64
# The registry's file with number and hash of the last row.
HEAD = "ledger-head.json"
# In place of the number of a row that is in no ledger.
UNRECORDED = 0
# The action of a row in which a person accepts breaks of the chain.
ACCEPT = "accept-break"
# The format of a new row. Rows of before have none, lack these fields, and are verified without them.
FORMAT = 2
_SINCE_FORMAT_2 = ("format", "signed_by", "signature")
_SHOWN = 12


@dataclass(frozen=True)
class Row:
    """One action: who did what, in which environment, from and to which version, why, with which code and model.

    `signed_by` is the public key of `signature`, which signs the row's hash.
    """

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
    format: int | None = None
    signed_by: str | None = None
    signature: str | None = None

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
        """Whether it was an emergency, which needs no proof and goes on when the ledger is broken."""
        return self.details.get("emergency") is True

    @property
    def short_hash(self) -> str:
        """The start of its hash, for people to compare."""
        return str(self.hash)[:_SHOWN]

    def content(self) -> dict[str, Any]:
        """All fields of a row in its format."""
        # Not `asdict`, whose copies of the details take most of the time in which a ledger is verified.
        fields = dict(vars(self))
        return fields if self.format is not None else {k: v for k, v in fields.items() if k not in _SINCE_FORMAT_2}

    def computed_hash(self) -> str:
        """SHA-256 of the row without its hash and signature, as canonical JSON; empty if it is not valid."""
        content = {key: value for key, value in self.content().items() if key not in ("hash", "signature")}
        try:
            return hashlib.sha256(canonical(content).encode()).hexdigest()
        except (ValueError, TypeError):
            return ""

    def as_json(self) -> bytes:
        """The row as the bytes of a JSON file."""
        return (json.dumps(self.content(), indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes | None) -> "Row | None":
        """The row that `as_json` wrote; None when the bytes are not a row, or its hash does not fit its content."""
        if content is None:
            return None
        try:
            row = cls(**json.loads(content))
            return row if isinstance(row.details, dict) and row.computed_hash() == row.hash else None
        except (ValueError, TypeError, RecursionError):
            return None


def canonical(content: Mapping[str, Any]) -> str:
    """The JSON text of the content that is hashed; equal content gives equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def breaks(rows: Sequence[Row], head: tuple[int, str] | None, keys: Collection[str] | None = None) -> list[str]:
    """One sentence per place where the rows are not the chain that was appended; empty when they are.

    `head` is what was kept of the last row outside of the database, `keys` the public keys that may sign; None leaves
    out what needs it. What a person accepted is no break any more: its sentence holds the hashes, so that another edit
    of the same row is another break. Only a row that the head covers accepts, and nothing accepts a wrong head.
    """
    # Rows that accept breaks hold the sentences of `_broken_links` and `_unsigned`, so their wording must not change.
    found = [*_broken_links(rows), *(_unsigned(rows, keys) if keys is not None else ())]
    accepted = _accepted(rows, head, keys) if found else set()
    left = [sentence for sentence in found if sentence not in accepted]
    return [*left, *_unknown_acceptances(rows, head), *_wrong_head(rows, head)]


def _broken_links(rows: Sequence[Row]) -> Iterator[str]:
    before, sequence = ORIGIN, 0
    for row in rows:
        name = f"ledger row {row.sequence}"
        if row.format not in (None, FORMAT):
            yield f"{name} has the format {row.format!r}, which this version of champion cannot read: update it"
        elif (digest := row.computed_hash()) != row.hash:
            yield f"{name} was edited: its content gives {digest[:_SHOWN] or 'no hash'}, not {row.short_hash}"
        if row.sequence != sequence + 1 or row.previous_hash != before:
            yield (
                f"{name} ({row.short_hash}) does not follow the row before it, {sequence} ({before[:_SHOWN]}): a row "
                "was removed or replaced"
            )
        before, sequence = row.hash, row.sequence


def _unsigned(rows: Sequence[Row], keys: Collection[str]) -> Iterator[str]:
    begun = False
    for row in rows:
        if row.format is not None and row.signed_by is not None:
            begun = True
            if not (row.signed_by in keys and is_signed(row.hash, row.signed_by, row.signature)):
                yield f"ledger row {row.sequence} ({row.short_hash}) is signed by no key of `ledger_public_keys`"
        elif begun:
            yield f"ledger row {row.sequence} ({row.short_hash}) is not signed, and rows before it are"
    if keys and rows and not begun:
        yield "no row of the ledger is signed, and `ledger_public_keys` has a key: accept this where signing begins"


def _accepted(rows: Sequence[Row], head: tuple[int, str] | None, keys: Collection[str] | None) -> set[str]:
    return {
        str(sentence)
        for row in rows
        if row.action == ACCEPT
        and row.computed_hash() == row.hash
        and (head is None or row.sequence <= head[0])
        and (not keys or (row.signed_by in keys and is_signed(row.hash, str(row.signed_by), row.signature)))
        for sentence in row.details.get("breaks", ())
    }


def _unknown_acceptances(rows: Sequence[Row], head: tuple[int, str] | None) -> Iterator[str]:
    # `champion accept-break` moves the head to its row. Only a kill in between, or an attack, leaves such a row.
    for row in rows:
        if row.action == ACCEPT and head is not None and 0 <= head[0] < row.sequence:
            yield f"ledger row {row.sequence} accepts breaks, but {HEAD} in the registry does not know this row"


def _wrong_head(rows: Sequence[Row], head: tuple[int, str] | None) -> Iterator[str]:
    if head is None or head == (0, ORIGIN):
        return
    sequence, digest = head
    last = rows[-1].sequence if rows else 0
    if sequence < 1:
        yield f"{HEAD} in the registry is unreadable"
    elif sequence > last:
        yield (
            f"the ledger ends at row {last}, but the registry knows row {sequence}: rows were removed, or the database "
            "is another one or an older copy"
        )
    elif not any(row.sequence == sequence and row.hash == digest for row in rows):
        yield f"ledger row {sequence} differs from what the registry knows ({digest[:_SHOWN]}): rows were replaced"
