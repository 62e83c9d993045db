"""CSV files of any encoding and compression, as UTF-8 text that Polars reads."""

import bz2
import codecs
import csv
import gzip
import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from champion.core.errors import UserError
from champion.core.values import quoted
from champion.pipeline.ingest.params import AnyFile

CHUNK = 1 << 20
UTF_8 = {codecs.lookup(name).name for name in ("utf-8", "utf-8-sig")}
SIGNATURES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "xz",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
}
# How files begin that are often taken for a CSV file, and what to do with them.
OTHERS = {
    b"PAR1": "this is a Parquet file. Give its name the ending .parquet",
    b"\xd0\xcf\x11\xe0": "this is an Excel workbook. Save the sheet as a CSV file",
}
UNREADABLE = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
)  # fmt: skip


def as_utf8(path: Path, name: str, form: AnyFile, folder: Path) -> Path:
    """The CSV file if it is UTF-8 already, else a copy in the folder that is.

    Raises `UserError` when its bytes are not in the declared compression or encoding, naming the first wrong one.
    """
    compression = _compression(path, name, form.compression)
    if compression == "none" and codecs.lookup(form.encoding).name in UTF_8:
        return path
    plain = folder / "table.csv"
    with plain.open("w", encoding="utf-8", newline="") as out:
        for number, text in enumerate(_decoded(_read(path, name, compression), form.encoding, name)):
            out.write(text if number else text.removeprefix("\ufeff"))
    return plain


def first_bytes(path: Path, name: str) -> bytes:
    """How the file begins when it is not compressed any more. Raises `UserError` as `as_utf8`."""
    return next(_read(path, name, _compression(path, name, "infer")), b"")


def _compression(path: Path, name: str, declared: str) -> str:
    with path.open("rb") as stream:
        start = stream.read(8)
    for signature, sentence in OTHERS.items():
        if start.startswith(signature):
            raise UserError(f"{name}: {sentence}.")
    if declared != "infer":
        return declared
    return next((found for signature, found in SIGNATURES.items() if start.startswith(signature)), "none")


def refuse_other_bytes(path: Path, name: str) -> None:
    """Raise a `UserError` that names the first byte of the file that is not UTF-8, if there is one."""
    for _ in _decoded(_read(path, name, "none"), "utf-8", name):
        pass


def refuse_long_row(path: Path, name: str, separator: str) -> None:
    """Raise a `UserError` that names the first line of the UTF-8 file with more values than the header, if any."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, delimiter=separator)
        try:
            width = len(next(rows, []))
            long = next((row for row in rows if len(row) > width), None)
        except csv.Error:
            return
        if long is not None:
            raise UserError(
                f"{name}: line {rows.line_num:,} has {len(long)} values, but the header has {width}. Put a value that "
                f"holds the separator {separator!r} in quotes, or correct `ingest.separator` in params.yaml."
            )


def line_of_row(path: Path, separator: str, row: int) -> int:
    """The line of the UTF-8 file in which a row after the header ends; the first row is 0."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, delimiter=separator)
        return next(islice((rows.line_num for _ in rows), row + 1, None), rows.line_num)


def read_header(path: Path, name: str, separator: str) -> list[str]:
    """The names of the columns of a UTF-8 file; one without a name is called as in pandas, such as `Unnamed: 0`.

    Raises `UserError` unless there are several, all different.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = next(csv.reader(stream, delimiter=separator), [])
    except UnicodeDecodeError:
        refuse_other_bytes(path, name)
        raise
    except csv.Error as error:
        raise UserError(f"{name}: the header cannot be read ({error}). Correct the first line of the file.") from None
    header = [column or f"Unnamed: {place}" for place, column in enumerate(first)]
    repeated = [column for column, times in Counter(header).items() if times > 1]
    if repeated:
        raise UserError(f"{name}: the column {repeated[0]!r} occurs {header.count(repeated[0])} times. Rename one.")
    if len(header) == 1:
        raise UserError(
            f"{name}: with the separator {separator!r}, the header has only one column, {quoted(header[0])}. "
            "Correct `ingest.separator` in params.yaml, or the file."
        )
    return header


def _read(path: Path, name: str, compression: str) -> Iterator[bytes]:
    try:
        with _OPENERS[compression](path) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise UserError(
            f"{name}: cannot be read as {compression} ({reason}). Make the file again, or correct "
            "`ingest.compression` in params.yaml."
        ) from None


def _open_zip(path: Path) -> IO[bytes]:
    # It is closed with its member, the last that uses it.
    archive = zipfile.ZipFile(path)
    members = [member for member in archive.namelist() if not member.endswith("/")]
    if len(members) == 1:
        return archive.open(members[0])
    archive.close()
    if "[Content_Types].xml" in members:
        raise zipfile.BadZipFile("it is an Excel workbook: save the sheet as CSV")
    raise zipfile.BadZipFile(f"it holds {len(members)} files, but must hold one")


def _open_zstd(path: Path) -> IO[bytes]:
    return cast(IO[bytes], pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


_OPENERS: dict[str, Callable[[Path], Any]] = {
    "none": lambda path: path.open("rb"),
    "gzip": gzip.open,
    "bz2": bz2.open,
    "xz": lzma.open,
    "zip": _open_zip,
    "zstd": _open_zstd,
}


def _decoded(chunks: Iterable[bytes], encoding: str, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    before, line = 0, 1
    for chunk, last in _with_last(chunks):
        try:
            text = decoder.decode(chunk, last)
            text.encode()
        except UnicodeError as error:
            raise UserError(_place(error, before, line, chunk, encoding, name)) from None
        before, line = before + len(chunk), line + text.count("\n")
        yield text


def _with_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    for chunk in chunks:
        yield chunk, False
    yield b"", True


def _place(error: UnicodeError, before: int, line: int, chunk: bytes, encoding: str, name: str) -> str:
    """What is wrong, and where: `before` and `line` are those of the chunk."""
    where, hint = f"from line {line} on", ""
    if isinstance(error, UnicodeDecodeError) and isinstance(error.object, bytes):
        # Some bytes before the chunk may be kept from the one before it.
        first = before - (len(error.object) - len(chunk)) + error.start
        line += error.object[: error.start].count(b"\n")
        where = f"byte {first + 1:,}, in line {line:,}, {hex(error.object[error.start])}"
    if codecs.lookup(encoding).name == "utf-8":
        hint = " Set `ingest.encoding` in params.yaml, such as cp1252 or utf-16, or save the file as UTF-8."
    else:
        hint = " Correct `ingest.encoding` in params.yaml, or the file."
    return f"{name}: the text is not {encoding.upper()}: {where}.{hint}"
