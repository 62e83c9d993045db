"""Tables in files, read and written in batches: Parquet or CSV, as the end of the name says."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from champion.core.errors import UserError

SUFFIXES = (".parquet", ".csv")
# At most so many rows are in a batch, and so many values, as a table can have thousands of columns.
ROWS, VALUES = 32_768, 4_000_000
CSV_BLOCK = 1 << 23


@dataclass(frozen=True)
class TableFile:
    """An open table. `as_text` says that every value is text, as in a CSV file, or missing.

    The same file always has the same `batches`. `share_read` is about how much of the file they have come to.
    """

    name: str
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    share_read: Callable[[], float]
    as_text: bool


def check_suffix(name: str) -> None:
    """Raise `UserError` when the name does not end as that of a Parquet or CSV file."""
    if not name.endswith(SUFFIXES):
        raise UserError(f"{name}: its name ends neither in .parquet nor in .csv. Give a Parquet or CSV file.")


@contextmanager
def open_table(path: Path, name: str) -> Iterator[TableFile]:
    """The table in the file, which errors call `name`. Raises `UserError` when it is no table or damaged."""
    if path.stat().st_size == 0:
        raise UserError(f"{name}: the file is empty. Give a table with a header.")
    opened = _open_csv if path.suffix == ".csv" else _open_parquet
    with ExitStack() as stack:
        with _readable(name):
            table = stack.enter_context(opened(path, name))
        repeated = [column for column, times in Counter(table.schema.names).items() if times > 1]
        if repeated:
            raise UserError(f"{name}: the column {repeated[0]!r} occurs more than once. Rename one.")
        yield replace(table, batches=_each(table.batches, name))


@contextmanager
def write_table(path: Path, schema: pa.Schema, *, as_csv: bool) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """A function that adds rows to a new file, CSV or Parquet. Equal rows in equal batches give equal bytes."""
    if as_csv:
        from pyarrow.csv import CSVWriter, WriteOptions

        writer = CSVWriter(path, schema, write_options=WriteOptions(quoting_style="needed"))
    else:
        from pyarrow.parquet import ParquetWriter

        # To look for repeated numbers costs more than it saves where almost no number occurs twice.
        repeating = [field.name for field in schema if not pa.types.is_floating(field.type)]
        writer = ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating)
    with writer:
        yield writer.write_batch


def fits_csv(found: pa.DataType) -> bool:
    """Whether a CSV file can hold values of that type."""
    return not (pa.types.is_nested(found) or pa.types.is_binary(found) or pa.types.is_large_binary(found))


@contextmanager
def _open_parquet(path: Path, name: str) -> Iterator[TableFile]:
    from pyarrow.parquet import ParquetFile

    # Without these, whole columns of a row group are read at once.
    with ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        total, read = file.metadata.num_rows, 0

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal read
            for batch in file.iter_batches(max(1, min(ROWS, VALUES // max(1, len(file.schema_arrow))))):
                read += len(batch)
                yield batch

        yield TableFile(name, file.schema_arrow, batches(), lambda: read / total if total else 1.0, as_text=False)


@contextmanager
def _open_csv(path: Path, name: str) -> Iterator[TableFile]:
    from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, open_csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            header = next(csv.reader(text), [])
    except UnicodeDecodeError:
        raise UserError(f"{name}: the text is not UTF-8. Save the file with the encoding UTF-8.") from None
    size = path.stat().st_size
    with pa.OSFile(str(path)) as stream:
        batches = open_csv(
            stream,
            ReadOptions(block_size=CSV_BLOCK),
            # In a table of one column, an empty line is a row.
            ParseOptions(newlines_in_values=True, ignore_empty_lines=len(header) > 1),
            ConvertOptions(column_types=dict.fromkeys(header, pa.string()), null_values=[""], strings_can_be_null=True),
        )
        yield TableFile(name, batches.schema, batches, lambda: stream.tell() / size, as_text=True)


def _each(batches: Iterator[pa.RecordBatch], name: str) -> Iterator[pa.RecordBatch]:
    while True:
        with _readable(name):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        kind = "CSV" if name.endswith(".csv") else "Parquet"
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"{name}: not readable {kind} ({reason}). Write the file again.") from None
