"""A file of this machine that keeps what workers answered until it is in the database.

It is a SQLite database, so that a kill or a full disk leaves no half row, and all workers can share one file.
"""

import sqlite3
import threading
import time
from collections import deque
from contextlib import closing
from pathlib import Path
from typing import Self

from champion.predictions.record import Record, encode, join, split

# So much may wait in memory for a slow disk.
WAITING_BYTES = 16 << 20
# At most so much becomes one row of the file.
BATCH_BYTES = 1 << 20
# How long a worker's end may wait for a disk.
LAST_SECONDS = 5.0
_BUSY_SECONDS = 10.0
_PAGE_BYTES = 4096
_TABLE = "CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY AUTOINCREMENT, records BLOB NOT NULL)"


class Spool:
    """The worker's end of the file. `is_full` says that the next record may find no place.

    A thread writes every `sync_seconds`, so that no answer waits for a disk; then it is safe even if the machine loses
    its power. The file may have `megabytes`.
    """

    def __init__(self, path: Path, megabytes: int, sync_seconds: float) -> None:
        self._path, self._megabytes, self._sync_seconds = path, megabytes, sync_seconds
        self._waiting: deque[bytes] = deque()
        # Only the caller of `append` changes the first, and only the thread the second.
        self._added = self._written = 0
        self._failed = False
        self._connection: sqlite3.Connection | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="spool", daemon=True)
        self._thread.start()

    @property
    def is_full(self) -> bool:
        """Whether the file has its limit, the disk is full or broken, or it is too slow."""
        return self._failed or self._added - self._written > WAITING_BYTES

    def append(self, record: Record) -> None:
        """Let the record be written soon."""
        encoded = encode(record)
        self._waiting.append(encoded)
        self._added += len(encoded)

    def close(self) -> bool:
        """Write what is left, and end. Whether all found a place."""
        self._ending.set()
        self._thread.join()
        return self._added == self._written

    def _keep_writing(self) -> None:
        while not self._ending.wait(self._sync_seconds):
            self._write()
        until = time.monotonic() + LAST_SECONDS
        self._write()
        while self._added > self._written and time.monotonic() < until:
            time.sleep(0.1)
            self._write()
        if self._connection is not None:
            self._connection.close()

    def _write(self) -> None:
        """Write all that waits. What finds no place waits on."""
        try:
            while self._waiting:
                batch, size = [], 0
                while self._waiting and size < BATCH_BYTES:
                    batch.append(self._waiting.popleft())
                    size += len(batch[-1])
                try:
                    self._insert(join(batch))
                except sqlite3.Error:
                    self._waiting.extendleft(reversed(batch))
                    raise
                self._written += size
            self._failed = False
        except sqlite3.Error:
            # It may have its limit, or the disk is full or broken. The next time tries again.
            self._failed = True

    def _insert(self, records: bytes) -> None:
        if self._connection is None:
            self._connection = _connect(self._path)
            self._connection.execute(f"PRAGMA max_page_count = {self._megabytes * (1 << 20) // _PAGE_BYTES}")
        with self._connection:
            self._connection.execute("INSERT INTO batches (records) VALUES (?)", (records,))


class SpoolReader:
    """The other end of the file, for the process that ships what is in it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> tuple[Self, Path | None]:
        """Open the file, which is made if it is missing. A damaged one is moved away; the second is its new path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        damaged = None
        if path.exists() and not _is_whole(path):
            damaged = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
            path.rename(damaged)
            for rest in ("-wal", "-shm"):
                path.with_name(f"{path.name}{rest}").unlink(missing_ok=True)
        return cls(_connect(path)), damaged

    def read(self, batches: int) -> tuple[list[Record], int]:
        """The oldest records, and the number to give `remove` once they are in the database; 0 without any."""
        rows = self._connection.execute("SELECT id, records FROM batches ORDER BY id LIMIT ?", (batches,)).fetchall()
        return split(records for _, records in rows), rows[-1][0] if rows else 0

    def remove(self, number: int) -> None:
        """Remove what was read up to this number."""
        with self._connection:
            self._connection.execute("DELETE FROM batches WHERE id <= ?", (number,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _is_whole(path: Path) -> bool:
    try:
        with closing(_connect(path)) as connection:
            return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return False
        raise


def _connect(path: Path) -> sqlite3.Connection:
    """A connection to the file, which is made if it is missing. Any thread may use it, one after the other."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    # A writer and a reader do not wait for each other, and each commit is on the disk.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(_TABLE)
    return connection
