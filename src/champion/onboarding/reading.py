"""A table of which nothing is declared yet: how its file is written, and its rows as they are."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from champion.core.errors import UserError
from champion.core.strict_yaml import check_section
from champion.pipeline.ingest.csv_file import as_utf8, first_bytes, read_header, refuse_long_row, refuse_other_bytes
from champion.pipeline.ingest.database import read_whole_table
from champion.pipeline.ingest.params import FileSource, SqlSource
from champion.table.fields import MISSING_VALUES

SEPARATORS = (",", ";", "\t", "|")
# So many rows tell the separator.
SNIFFED = 100
# cp1252 is what most spreadsheets on Windows write; it lacks five bytes, which latin-1 has.
ENCODINGS = ("utf-8", "cp1252", "latin-1")
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class RawTable:
    """The rows of a table, as text if it is a CSV file, and the keys of `ingest` that say where and how it is written.

    `name` is the table in messages.
    """

    name: str
    rows: pl.DataFrame
    source: dict[str, Any]


def read_file(path: Path, encoding: str | None, separator: str | None) -> RawTable:
    """A CSV or Parquet file. Without an encoding or a separator, those that fit the file are found.

    Raises `UserError` when the file cannot be read, has no rows or fewer than two columns.
    """
    name = path.name
    if separator is not None:
        separator = "\t" if separator in ("\\t", "tab") else separator
        check_section(FileSource, {"source": "file", "path": name, "separator": separator}, "--")
    if path.is_dir():
        raise UserError(f"{path}: a folder, no file. Give a CSV or Parquet file.")
    if not path.is_file():
        raise UserError(
            f"{path}: no such file. Give a CSV or Parquet file, or set CHAMPION_SOURCE_URL to name a table."
        )
    if path.stat().st_size == 0:
        raise UserError(f"{name}: the file is empty. Give a table with a header and rows.")
    if path.suffix == ".parquet":
        try:
            return RawTable(name, _not_empty(name, pl.read_parquet(path, glob=False)), {"source": "file", "path": name})
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise UserError(f"{name}: not readable Parquet ({reason}). Write the file again.") from None
    with TemporaryDirectory(prefix="champion-init-") as folder:
        text, encoding = _decode(path, encoding, Path(folder))
        if separator is None:
            separator = _find_separator(text, name)
        header = read_header(text, name, separator)
        unnamed = sum(column.startswith("Unnamed: ") for column in header)
        if 2 * unnamed > len(header):
            raise UserError(
                f"{name}: line 1 is no header, as {unnamed} of its {len(header)} columns have no name. Remove the "
                "lines above the header."
            )
        source = {"source": "file", "path": name}
        source |= {"separator": separator} if separator != "," else {}
        source |= {"encoding": encoding} if encoding != "utf-8" else {}
        try:
            rows = pl.read_csv(
                text,
                separator=separator,
                infer_schema=False,
                null_values=MISSING_VALUES,
                new_columns=header,
                glob=False,
            )
        except (pl.exceptions.PolarsError, OSError) as error:
            refuse_long_row(text, name, separator)
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise UserError(f"{name}: cannot be read as CSV ({reason}). Repair or re-export the file.") from None
    return RawTable(name, _not_empty(name, rows), source)


def read_table_of_database(name: str) -> RawTable:
    """A table of the database in CHAMPION_SOURCE_URL. Raises `UserError` when it cannot be read or has no rows."""
    rows = read_whole_table(SqlSource(source="sql", table=name))
    return RawTable(name, _not_empty(name, rows), {"source": "sql", "table": name})


def _not_empty(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    if rows.is_empty():
        raise UserError(f"{name}: the table has a header but no rows. Give a table with rows.")
    if rows.width < 2:
        raise UserError(f"{name}: the table has one column. Give a table with a target and at least one other column.")
    return rows


def _decode(path: Path, encoding: str | None, folder: Path) -> tuple[Path, str]:
    """The file as UTF-8, and the first encoding that reads it."""
    refused = None
    for candidate in (encoding,) if encoding else _encodings(path):
        source = check_section(FileSource, {"source": "file", "path": path.name, "encoding": candidate}, "--")
        try:
            text = as_utf8(path, path.name, source, folder)
            refuse_other_bytes(text, path.name)
        except UserError as error:
            refused = refused or error
        else:
            return text, candidate
    raise refused or UserError(f"{path.name}: no encoding reads it.")


def _encodings(path: Path) -> Iterable[str]:
    return ("utf-16",) if first_bytes(path, path.name).startswith(BYTE_ORDER_MARKS) else ENCODINGS


def _find_separator(text: Path, name: str) -> str:
    """The separator that gives every row as many values as the header, and the most of them."""
    widths = {separator: _width(text, separator) for separator in SEPARATORS}
    best = max(SEPARATORS, key=widths.__getitem__)
    if widths[best] < 2:
        raise UserError(
            f"{name}: no comma, semicolon, tab or bar separates all of its rows into equally many values. Give the "
            "separator with --separator."
        )
    return best


def _width(text: Path, separator: str) -> int:
    with text.open(encoding="utf-8-sig", newline="") as stream:
        try:
            rows = [row for row in islice(csv.reader(stream, delimiter=separator), SNIFFED) if row]
        except csv.Error:
            return 0
    widths = {len(row) for row in rows}
    return widths.pop() if len(widths) == 1 else 0
