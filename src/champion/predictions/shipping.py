"""The way of records from the file of this machine to the database."""

from pathlib import Path
from typing import Self

from champion.predictions.log import PredictionLog
from champion.predictions.spool import SpoolReader

# Batches of the file that become one transaction.
BATCHES = 2


class Shipper:
    """Ships what the workers of this machine answered."""

    def __init__(self, log: PredictionLog, reader: SpoolReader) -> None:
        self._log = log
        self._reader = reader
        self._is_prepared = False

    @classmethod
    def open(cls, log: PredictionLog, spool: Path) -> tuple[Self, Path | None]:
        """A shipper, and where a damaged file was moved to."""
        reader, damaged = SpoolReader.open(spool)
        return cls(log, reader), damaged

    def ship(self) -> bool:
        """Ship some records. Whether there may be more. Raises `UserError` when the database cannot be used.

        If it is killed between the two steps, the records are shipped again, and the database leaves them out.
        """
        if not self._is_prepared:
            self._log.prepare()
            self._is_prepared = True
        records, number = self._reader.read(BATCHES)
        if not records:
            return False
        self._log.add(records)
        self._reader.remove(number)
        return True

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
