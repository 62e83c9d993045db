"""The rate limit of each API key, which the workers of a server share without locks.

They share a file in memory. Each worker writes only its own counters, and reads those of all others.
"""

import mmap
import time
from pathlib import Path
from zlib import crc32

FILE = "limits"
# Keys share these places by their hash. That two keys meet in one is unlikely, and then they share a limit.
PLACES = 4096
_NUMBER_BYTES = 8
_PAIR = 2


def make_file(folder: Path, workers: int) -> None:
    """Make the file for so many workers."""
    (folder / FILE).write_bytes(bytes(PLACES * workers * _PAIR * _NUMBER_BYTES))


class RateLimit:
    """At most `per_second` requests in each second of the clock, for each key and over all workers."""

    def __init__(self, folder: Path, worker: int, workers: int, per_second: int) -> None:
        with (folder / FILE).open("r+b") as stream:
            self._map = mmap.mmap(stream.fileno(), 0)
        self._numbers = memoryview(self._map).cast("Q")
        self._worker = worker
        self._workers = workers
        self._per_second = per_second
        self._starts: dict[str, int] = {}

    def allows(self, name: str) -> bool:
        """Whether the key with this name may send a request now, which is counted."""
        numbers, second = self._numbers, int(time.monotonic())
        start = self._starts.get(name)
        if start is None:
            start = self._starts[name] = crc32(name.encode()) % PLACES * self._workers * _PAIR
        used = 0
        for place in range(start, start + self._workers * _PAIR, _PAIR):
            if numbers[place] == second:
                used += numbers[place + 1]
        if used >= self._per_second:
            return False
        own = start + self._worker * _PAIR
        count = numbers[own + 1] + 1 if numbers[own] == second else 1
        # The count first: a reader that comes between sees too few requests, never those of an old second.
        numbers[own + 1] = count
        numbers[own] = second
        return True

    def close(self) -> None:
        """Leave the file."""
        self._numbers.release()
        self._map.close()
