"""`ingest.path` leads to a file in data/source/ and to nothing else."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from champion.core.errors import UserError
from champion.pipeline.ingest.params import FileSource, Source
from champion.pipeline.ingest.sources import read_table
from champion.table.columns import Column, Columns

COLUMNS = Columns({"number": Column(type="integer", role="label"), "other": Column(type="integer")})
ROWS = "number,other\n1,2\n"
OUTSIDE = [
    "../../etc/passwd",
    "a/../../b.csv",
    "/etc/passwd",
    "//host/share.csv",
    "C:/x.csv",
    "C:x.csv",
    "\\\\host\\share.csv",
    "..\\..\\x.csv",
    "..",
]
NAMELESS = ["", " ", "a\0b"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "data/source").mkdir(parents=True)
    (tmp_path / "secret.csv").write_text(ROWS)
    return folder


def read(root: Path, path: str) -> list[tuple[int, ...]]:
    return read_table(FileSource(source="file", path=path), COLUMNS, None, root).rows()


@pytest.mark.parametrize("path", OUTSIDE + NAMELESS)
@pytest.mark.parametrize("kind", [{"source": "file"}, {"source": "wheel", "distribution": "x", "sha256": "0"}])
def test_a_path_that_leads_out_is_refused(path: str, kind: dict[str, str]) -> None:
    source: TypeAdapter[Source] = TypeAdapter(Source)
    expected = "the path leads out of its folder" if path in OUTSIDE else "give the name of a file"
    with pytest.raises(ValidationError, match=expected) as refused:
        source.validate_python(kind | {"path": path})
    assert refused.value.errors()[0]["loc"][-1] == "path"


@pytest.mark.parametrize("path", ["cases.csv", "2024/cases.csv", "a..b.csv", "...", "ä b.csv", "~x.csv"])
def test_a_path_inside_is_read(path: str, root: Path) -> None:
    file = root / "data/source" / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(ROWS)
    assert read(root, path) == [(1, 2)]


@pytest.mark.parametrize("link", ["file", "folder", "chain"])
def test_a_link_that_leads_out_is_refused(link: str, root: Path) -> None:
    source = root / "data/source"
    (source / "out").symlink_to(root.parent)
    (source / "file").symlink_to(root.parent / "secret.csv")
    (source / "chain").symlink_to("file")
    path = {"file": "file", "folder": "out/secret.csv", "chain": "chain"}[link]
    with pytest.raises(UserError, match=r"`ingest\.path` in params\.yaml leads out of data/source by a link\."):
        read(root, path)


def test_links_inside_and_to_the_cache_of_dvc_are_read(root: Path) -> None:
    cached = root.parent / "cache/files/md5" / "ab" / ("0" * 30)
    cached.parent.mkdir(parents=True)
    cached.write_text(ROWS)
    (root / "data/source/cases.csv").symlink_to(cached)
    (root / "data/source/latest.csv").symlink_to("cases.csv")
    assert read(root, "cases.csv") == read(root, "latest.csv") == [(1, 2)]


def test_a_link_to_a_folder_that_holds_the_data_is_followed(root: Path, tmp_path: Path) -> None:
    (root / "data/source").rmdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/cases.csv").write_text(ROWS)
    (root / "data/source").symlink_to(tmp_path / "disk")
    assert read(root, "cases.csv") == [(1, 2)]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_marks_of_a_pattern_are_a_name(ending: str, root: Path) -> None:
    (root / "data/source/b.csv").write_text(ROWS)
    with pytest.raises(UserError, match=r"no such file\. Put the table there, or correct `ingest\.path`"):
        read(root, f"*.{ending}")
    (root / "data/source/[ab].csv").write_text("number,other\n3,4\n")
    assert read(root, "[ab].csv") == [(3, 4)]
