"""Thousands of broken CSV files: a table or one sentence, never a traceback, and after a refusal no changed file."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from champion.pipeline.ingest.__main__ import main as ingest
from champion.pipeline.prepare.__main__ import main as prepare

TABLE = Path("data/source/t.csv")
RAW, EXCLUDED, PREPARED = Path("data/raw.parquet"), Path("data/excluded.json"), Path("data/prepared/parts.json")
COLUMNS = {
    "day": {"type": "date", "role": "date"},
    "count": {"type": "integer", "range": [0, 100]},
    "amount": {"type": "number"},
    "kind": {"type": "category"},
    "member": {"type": "boolean"},
    "note": {"type": "category", "role": "ignore"},
    "target": {"type": "category", "role": "label"},
}
PARAMS: dict[str, Any] = {
    "as_of": "2021-01-01",
    "window": 12,
    "columns": COLUMNS,
    "label": {"kind": "value", "positive": ["bad"]},
    "split": {"test": 6},
}
# What a source that was made before holds, which a refusal must leave alone.
BEFORE = b"made before"

VALID: dict[str, list[str]] = {
    "day": ["2020-01-02", "2020-03-04T05:06:07Z", "2020-07-08 09:10", "2020-11-12"],
    "count": ["3", "583.0", "1.234", "0"],
    "amount": ["1.5", "1,5", "1.234,5", "-2e3"],
    "kind": ["a", "b", "é", "a b"],
    "member": ["yes", "0", "true"],
    "note": ["n", ""],
    "target": ["good", "bad"],
}
NASTY = [
    "", "NA", "?", "-999", "inf", "NaN", "1e400", "9" * 30, "9" * 400, "x" * 200_000, "ü" * 300, "\0",
    "a\0b", '"', '""',
    '"a', 'a"b', '"a,b"', '"a\nb"', "'", "\\", "\ufeff", "\u2028", "\x1a", "=1+1", "0000-00-00", "2020-02-30",
    "99999-01-01",
    ",", ";", "\t", "\r", "\n", "\r\n", "🐧", "on", " 1", "1_000", "٣", "(target)",
]  # fmt: skip
PIECES = [
    b"",
    b"\0",
    b'"',
    b"\xff",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r",
    b",",
    b";",
    b"\x1f\x8b",
    b"\xc3",
    b"\xed\xa0\x80",
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "utf-7", "ascii", "shift_jis"]
COMPRESSIONS = ["none", "gzip", "bz2", "xz", "zip", "zstd"]


@dataclass(frozen=True)
class Mutation:
    """At a place, given as a share of the length, so many bytes are replaced by the piece."""

    place: float
    removed: int
    piece: bytes

    def of(self, content: bytes) -> bytes:
        start = round(self.place * len(content))
        return content[:start] + self.piece + content[start + self.removed :]


@dataclass(frozen=True)
class Case:
    """A file, and the keys of `ingest` that say how it is written."""

    content: bytes
    form: Mapping[str, Any]

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Hypothesis prints a failing case so, which may be large."""
        printer.text(f"Case({self.content[:1000]!r}, {self.form})")


def compressed(content: bytes, compression: str) -> bytes:
    match compression:
        case "gzip":
            return gzip.compress(content, 1, mtime=0)
        case "bz2":
            return bz2.compress(content, 1)
        case "xz":
            return lzma.compress(content, preset=0)
        case "zstd":
            found: bytes = pa.compress(content, codec="zstd", asbytes=True)
            return found
        case "zip":
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("t.csv", content)
            return buffer.getvalue()
    return content


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """The usual value in most cases, so that some cases come far."""
    return st.integers(0, 9).flatmap(lambda n: st.sampled_from(others) if n == 9 else st.just(usual))


MUTATIONS = st.lists(
    st.builds(
        Mutation,
        st.floats(0, 1),
        st.sampled_from([0, 0, 1, 2, 10, 10**6]),
        st.sampled_from(PIECES) | st.binary(max_size=4),
    ),
    max_size=2,
)
HEADERS = mostly(
    list(COLUMNS),
    list(COLUMNS)[:-1],
    [*COLUMNS, "more"],
    [*COLUMNS, "day"],
    ["day"] * 7,
    [*COLUMNS][::-1],
    [],
    [""] * 7,
    [f'"{name}"' for name in COLUMNS],
    ['"day', *list(COLUMNS)[1:]],
    ["x" * 200_000, *list(COLUMNS)[1:]],
    ["\0day", *list(COLUMNS)[1:]],
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A small table as bytes, in most cases nearly a valid one, and how params.yaml says that it is written."""
    separator, end = draw(mostly(",", ";", "\t", "|")), draw(mostly("\n", "\r\n", "\r", "\n\n"))
    lines = [separator.join(draw(HEADERS))]
    for _ in range(draw(st.integers(0, 8))):
        cells = [draw(st.sampled_from(VALID[name])) for name in COLUMNS]
        for place in draw(st.lists(st.integers(0, len(cells) - 1), max_size=1)):
            cells[place] = draw(st.sampled_from(NASTY))
        width = draw(mostly(len(cells), 0, 1, len(cells) - 1, len(cells) + 1))
        lines.append(separator.join([*cells, "more"][:width]))
    encoding, compression = draw(mostly("utf-8", *ENCODINGS)), draw(mostly("none", *COMPRESSIONS))
    content = end.join([*lines, ""]).encode(encoding, "replace")
    for mutation in draw(MUTATIONS):
        content = mutation.of(content)
    content = compressed(content, compression)
    if compression != "none":
        for mutation in draw(MUTATIONS):
            content = mutation.of(content)
    form: dict[str, Any] = {
        "separator": draw(mostly(separator, ",", ";")),
        "encoding": draw(mostly(encoding, *ENCODINGS)),
        "compression": draw(mostly("infer", *COMPRESSIONS)),
        "na_values": draw(mostly(["?", -999], [])),
    }
    form |= draw(mostly({}, {"decimal": ","}, {"decimal": ",", "thousands": "."}, {"thousands": ","}))
    form |= draw(mostly({}, {"date_format": "%d.%m.%Y"}, {"date_format": "%"}, {"date_format": "%Q"}))
    return Case(content, form)


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("fuzz"))
        TABLE.parent.mkdir(parents=True)
        PREPARED.parent.mkdir()
        yield


def refused(stage: Any, *outs: Path) -> bool:
    """Whether the stage refuses its input: in one short sentence, and without changing an output."""
    for out in outs:
        out.write_bytes(BEFORE)
    try:
        stage()
    except SystemExit as stop:
        said = str(stop.code)
        assert said.startswith("error: ")
        assert said.endswith(".")
        assert "\n" not in said
        assert len(said) < 3000
        assert all(out.read_bytes() == BEFORE for out in outs)
        return True
    assert all(out.read_bytes() != BEFORE for out in outs)
    return False


def check(case: Case) -> None:
    TABLE.write_bytes(case.content)
    params = PARAMS | {"ingest": {"source": "file", "path": "t.csv"} | dict(case.form)}
    Path("params.yaml").write_text(json.dumps(params))
    if refused(ingest, RAW, EXCLUDED):
        return
    assert pl.read_parquet(RAW).columns == [name for name, column in COLUMNS.items() if column.get("role") != "ignore"]
    refused(prepare, PREPARED)


ANY_TIME = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@settings(ANY_TIME, max_examples=100)
@given(cases())
def test_a_hundred_broken_files_are_read_or_refused_in_a_sentence(case: Case) -> None:
    check(case)


@pytest.mark.sweep
@settings(ANY_TIME, max_examples=2500)
@given(cases())
def test_thousands_of_broken_files_are_read_or_refused_in_a_sentence(case: Case) -> None:
    check(case)


@settings(ANY_TIME, max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(ENCODINGS), st.sampled_from(["infer", *COMPRESSIONS]))
def test_any_bytes_at_all_are_refused_in_a_sentence(content: bytes, encoding: str, compression: str) -> None:
    check(Case(content, {"encoding": encoding, "compression": compression}))
