"""What a server keeps: its answers, and what became of the rows that it answered."""

from collections.abc import Iterable, Sequence

import msgspec


class Row(msgspec.Struct, array_like=True):
    """One row of a request: the values that the version read, and what it said of them.

    A reader gets the values as JSON. A writer may give any mapping in place of it, which is encoded with the rest.
    """

    features: msgspec.Raw
    probability: float | None
    decision: bool | None
    out_of_scope: str | None


class Answered(msgspec.Struct, array_like=True, tag="answered"):
    """One answered request.

    `sequence` numbers the records of one `worker`. `time` is in seconds since 1970, and `user` a pseudonym. `variant`
    is a flag's name and its variant with a colon between, where a flag chose the version.
    """

    worker: str
    sequence: int
    time: float
    request_id: str
    user: str | None
    version: str
    variant: str | None
    rows: Sequence[Row]


class Outcome(msgspec.Struct, array_like=True, tag="outcome"):
    """The event of a row happened on this day; None takes back what was said before.

    `day` is written as YYYY-MM-DD. `time` is when this was said, in seconds since 1970.
    """

    time: float
    request_id: str
    row: int
    day: str | None


class Complete(msgspec.Struct, array_like=True, tag="complete"):
    """All events up to this day, the day included, have been said. `time` is when that was said."""

    time: float
    through: str


Record = Answered | Outcome | Complete

# JSON can hold a whole number of any size, and a text with any character.
encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Record]).decode


def join(encoded: Sequence[bytes]) -> bytes:
    """The bytes of a list of records that are bytes already."""
    return b"[" + b",".join(encoded) + b"]"


def split(joined: Iterable[bytes]) -> list[Record]:
    """The records in several lists of `join`."""
    return [record for one in joined for record in _decode(one)]
