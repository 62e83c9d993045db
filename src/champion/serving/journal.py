"""The scores of a run that is not finished, so that a run after a kill need not compute them again."""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

# Before the scores of a batch: their number and the CRC-32 of this number and of them.
_HEAD = struct.Struct("<QI")
_LENGTH = struct.Struct("<Q")
_FLOAT = np.dtype("<f8")


class Journal:
    """The scores of the first batches of an input, in order: read those that are there, then append the others.

    `rows` is how many scores it had when it was opened. `discarded` says that it was about something else, so it was
    emptied.
    """

    def __init__(self, stream: IO[bytes], rows: int, end: int, *, discarded: bool) -> None:
        self._stream, self._end = stream, end
        self.rows, self.discarded = rows, discarded

    @classmethod
    @contextmanager
    def open(cls, path: Path, about: Mapping[str, Any]) -> Iterator[Self]:
        """The journal at the path, of a run about the same things, which JSON can hold. The file stays.

        A batch that was not written completely is cut off.
        """
        first = json.dumps(about, sort_keys=True).encode() + b"\n"
        path.touch()
        # Without a buffer, what was appended is in the file when the process is killed.
        with path.open("r+b", buffering=0) as stream:
            found = stream.read(len(first))
            if found != first:
                stream.seek(0)
                stream.truncate()
                stream.write(first)
            rows, end = 0, stream.tell()
            while (scores := _read(stream)) is not None:
                rows, end = rows + len(scores), stream.tell()
            stream.truncate(end)
            stream.seek(len(first))
            yield cls(stream, rows, end, discarded=found not in (first, b""))

    def read(self) -> NDArray[np.float64] | None:
        """The scores of the next batch; None when all were read."""
        return _read(self._stream) if self._stream.tell() < self._end else None

    def append(self, scores: NDArray[np.float64]) -> None:
        """Add the scores of a batch after all were read."""
        content = scores.astype(_FLOAT).tobytes()
        length = _LENGTH.pack(len(scores))
        written = memoryview(_HEAD.pack(len(scores), zlib.crc32(content, zlib.crc32(length))) + content)
        while written:
            written = written[self._stream.write(written) :]


def _read(stream: IO[bytes]) -> NDArray[np.float64] | None:
    """The scores of one batch; None when they are not all there, or are not those that were written."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    count, checksum = _HEAD.unpack(head)
    place = stream.tell()
    size = stream.seek(0, 2) - place
    stream.seek(place)
    if count * _FLOAT.itemsize > size:
        return None
    content = stream.read(count * _FLOAT.itemsize)
    if zlib.crc32(content, zlib.crc32(_LENGTH.pack(count))) != checksum:
        return None
    return np.frombuffer(content, _FLOAT)
