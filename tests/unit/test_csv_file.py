"""CSV files in any encoding and compression, and the sentence about one that is not what it should be."""

import bz2
import gzip
import lzma
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from champion.core.errors import UserError
from champion.core.layout import SOURCE
from champion.pipeline.ingest.params import FileSource
from champion.pipeline.ingest.sources import read_table
from champion.table.columns import Column, Columns

COLUMNS = Columns(
    {
        "stadt": Column(type="category"),
        "betrag": Column(type="number", range=(0, 2000)),
        "tage": Column(type="integer"),
        "gut": Column(type="boolean", role="label"),
    }
)
TEXT = "stadt;betrag;tage;gut\nKöln;1.234,50;583,0;yes\nk. A.;-1;-1;no\n"
FORM: dict[str, Any] = {"separator": ";", "decimal": ",", "thousands": ".", "na_values": (-1, "k. A.")}
ROWS = [("Köln", 1234.5, 583, True), (None, None, None, False)]


@pytest.fixture(autouse=True)
def _source_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data/source").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def read(content: bytes, name: str = "t.csv", **form: Any) -> list[tuple[Any, ...]]:
    (SOURCE / name).write_bytes(content)
    return read_table(FileSource(source="file", path=name, **FORM | form), COLUMNS, None).rows()


def refusal(content: bytes, **form: Any) -> str:
    with pytest.raises(UserError) as error:
        read(content, **form)
    said = str(error.value)
    assert re.match(r"data/source/t.csv(, line [0-9,]+)?: ", said)
    assert said.endswith(".")
    assert "\n" not in said
    return said


def zipped(content: bytes, *names: str) -> bytes:
    with zipfile.ZipFile("t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        for name in names:
            archive.writestr(name, content)
    return Path("t.zip").read_bytes()


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: pa.compress(content, codec="zstd", asbytes=True),
    "zip": lambda content: zipped(content, "folder/t.csv"),
}


def test_an_export_of_a_german_spreadsheet_is_read() -> None:
    assert read(TEXT.encode()) == ROWS


@pytest.mark.parametrize(
    "encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-8-sig", "utf-32", "UTF8", "mac_roman"]
)
def test_any_encoding_of_text_is_read(encoding: str) -> None:
    assert read(TEXT.encode(encoding), encoding=encoding) == ROWS


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert read(f"\ufeff{TEXT}".encode("utf-16-le"), encoding="utf-16-le") == ROWS


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_compressed_file_is_known_by_its_first_bytes(compression: str, name: str) -> None:
    content = COMPRESSED[compression](TEXT.encode("cp1252"))
    assert read(content, name, encoding="cp1252") == ROWS
    assert read(content, name, encoding="cp1252", compression=compression) == ROWS


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_compressed_file_that_was_cut_off_or_damaged_is_a_sentence(compression: str) -> None:
    content = COMPRESSED[compression](TEXT.encode() * 1000)
    assert f"cannot be read as {compression} (" in refusal(content[: len(content) // 2])
    for middle in (len(content) // 2, len(content) // 3):
        spoilt = content[:middle] + bytes(8) + content[middle + 8 :]
        assert refusal(spoilt)


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_file_that_is_not_in_the_declared_compression_is_a_sentence(compression: str) -> None:
    said = refusal(TEXT.encode(), compression=compression)
    assert f"cannot be read as {compression} (" in said
    assert "correct `ingest.compression` in params.yaml" in said


def test_a_compressed_file_that_is_said_to_be_none_is_a_sentence() -> None:
    assert "the text is not UTF-8: byte 2, in line 1, 0x8b" in refusal(gzip.compress(TEXT.encode()), compression="none")


def test_a_zip_archive_of_several_files_is_a_sentence() -> None:
    assert "it holds 2 files, but must hold one" in refusal(zipped(TEXT.encode(), "a.csv", "b.csv"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"PAR1....", "this is a Parquet file. Give its name the ending .parquet."),
        (bytes.fromhex("d0cf11e0a1b11ae1"), "this is an Excel workbook. Save the sheet as a CSV file."),
    ],
)
def test_another_kind_of_file_is_called_by_its_name(content: bytes, expected: str) -> None:
    assert expected in refusal(content)


def test_an_excel_workbook_is_called_so() -> None:
    assert "it is an Excel workbook: save the sheet as CSV" in refusal(
        zipped(b"", "[Content_Types].xml", "xl/workbook.xml")
    )


@pytest.mark.parametrize("before", [0, 1000, 100_000])
def test_a_byte_in_another_encoding_is_named_with_its_line(before: int) -> None:
    start = TEXT.partition("\n")[0] + "\n" + "Bonn;1;1;no\n" * before
    content = (start + "Köln;1;1;no\n").encode("cp1252")
    place = f"byte {len(start) + 2:,}, in line {before + 2:,}, 0xf6"
    said = refusal(content)
    assert said == (
        f"data/source/t.csv: the text is not UTF-8: {place}. "
        "Set `ingest.encoding` in params.yaml, such as cp1252 or utf-16, or save the file as UTF-8."
    )
    assert f"the text is not ASCII: {place}. Correct `ingest.encoding`" in refusal(content, encoding="ascii")


def test_a_name_in_another_encoding_is_named_with_its_line() -> None:
    assert "byte 2, in line 1, 0xf6" in refusal(TEXT.replace("stadt", "wörter").encode("cp1252"))


def test_a_file_that_ends_within_a_character_is_a_sentence() -> None:
    assert "the text is not UTF-16" in refusal(TEXT.encode("utf-16")[:-1], encoding="utf-16")


def test_a_name_longer_than_any_table_has_is_a_sentence() -> None:
    assert "the header cannot be read (field larger than field limit (131072))" in refusal(b"a" * 200_000)
    assert len(refusal(b"a" * 100_000)) < 300


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Bonn;1,5;1.5;no", "`ingest.decimal` or `ingest.thousands`. If they mean a missing value, put `na_values: ["),
        ("Bonn;n. v.;1;no", ", line 4: 1 value of column 'betrag' cannot be read as number, such as 'n. v.'"),
    ],
)
def test_a_number_in_another_form_hints_at_the_keys_of_the_form(text: str, hint: str) -> None:
    assert hint in refusal(f"{TEXT}{text}\n".encode())


def test_nothing_is_left_of_the_copy_in_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    read(gzip.compress(TEXT.encode()))
    refusal(gzip.compress(TEXT.encode("cp1252")))
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_column_may_have_the_name_of_another_ones_text() -> None:
    columns = Columns(
        {"x": Column(type="integer"), "text of x": Column(type="integer"), "y": Column(type="integer", role="label")}
    )
    (SOURCE / "t.csv").write_text("x,text of x,y\n1,2,0\n")
    assert read_table(FileSource(source="file", path="t.csv"), columns, None).rows() == [(1, 2, 0)]
