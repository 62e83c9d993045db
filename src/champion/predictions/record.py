"""What is kept of an answer."""

from collections.abc import Iterable, Sequence

import msgspec


class Row(msgspec.Struct, array_like=True):
    """One row of a request: the values that the version read, as a JSON object, and what it said of them."""

    features: msgspec.Raw
    probability: float | None
    decision: bool | None
    out_of_scope: str | None


class Record(msgspec.Struct, array_like=True):
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


# JSON can hold a whole number of any size, and a text with any character.
encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Record]).decode


def join(encoded: Sequence[bytes]) -> bytes:
    """The bytes of a list of records that are bytes already."""
    return b"[" + b",".join(encoded) + b"]"


def split(joined: Iterable[bytes]) -> list[Record]:
    """The records in several lists of `join`."""
    return [record for one in joined for record in _decode(one)]
