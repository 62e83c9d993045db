"""The way of records from the file of this machine to the database."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from champion.predictions.log import PredictionLog
from champion.predictions.spool import SpoolReader

# Batches of the file that become one transaction.
BATCHES = 2
# How often old rows are removed, and missing tables made.
TIDY_SECONDS = 3600.0


class Shipper:
    """Ships what the workers of this machine answered."""

    def __init__(self, log: PredictionLog, reader: SpoolReader, retention: timedelta | None) -> None:
        self._log = log
        self._reader = reader
        self._retention = retention
        self._tidy_again = 0.0

    @classmethod
    def open(cls, log: PredictionLog, spool: Path, retention: timedelta | None = None) -> tuple[Self, Path | None]:
        """A shipper, and where a damaged file was moved to. What is older than `retention` is removed each hour."""
        reader, damaged = SpoolReader.open(spool)
        return cls(log, reader, retention), damaged

    def ship(self) -> bool:
        """Ship some records. Whether there may be more. Raises `UserError` when the database cannot be used.

        If it is killed between the two steps, the records are shipped again, and the database leaves them out.
        """
        if time.monotonic() >= self._tidy_again:
            self._log.prepare()
            if self._retention is not None:
                self._log.remove_before(datetime.now(UTC) - self._retention)
            self._tidy_again = time.monotonic() + TIDY_SECONDS
        records, number = self._reader.read(BATCHES)
        if not records:
            return False
        self._log.add(records)
        self._reader.remove(number)
        return True

    def close(self) -> None:
        """Close the file and the log."""
        self._reader.close()
        self._log.close()
