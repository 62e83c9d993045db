"""The prediction log as a Parquet file."""

from datetime import datetime
from pathlib import Path

from champion.core.errors import UserError
from champion.core.files import replacing
from champion.core.stage import progress
from champion.predictions.log import PredictionLog


def export(log: PredictionLog, path: Path, since: datetime | None, until: datetime | None) -> int:
    """Write the rows from `since` on and before `until`, sorted by time. Returns how many they are.

    Raises `UserError` when the file cannot be written.
    """
    from pyarrow.parquet import ParquetWriter

    if path.suffix != ".parquet" or not path.parent.is_dir():
        raise UserError(f"{path}: it is no Parquet file in a folder that exists. Give a path that ends in .parquet.")
    count = 0
    with replacing(path) as draft, progress(f"writing {path.name}", line=False):
        tables = (part.to_arrow() for part in log.read(since, until))
        with ParquetWriter(draft, next(tables).schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table)
                count += len(table)
    return count
