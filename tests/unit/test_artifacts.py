"""Files appear complete or not at all, and equal content gives equal bytes."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.core.errors import UserError
from champion.core.files import read_json, read_parquet, replacing, sha256_of, write_json, write_parquet
from champion.core.values import rounded

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_then_fail(path: Path) -> None:
    with replacing(path) as draft:
        draft.write_text("half")
        raise RuntimeError("stopped")


def fill_folder_then_fail(path: Path) -> None:
    with replacing(path) as draft:
        draft.mkdir()
        (draft / "half").write_text("half")
        raise RuntimeError("stopped")


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with replacing(tmp_path / "deep/file") as draft:
            draft.write_text(content)
    assert (tmp_path / "deep/file").read_text() == "new"
    assert names(tmp_path / "deep") == ["file"]


def test_a_folder_takes_the_place_of_the_old_one_with_all_it_held(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with replacing(tmp_path / "folder") as draft:
            draft.mkdir()
            (draft / content).write_text(content)
    assert names(tmp_path / "folder") == ["new"]
    assert names(tmp_path) == ["folder"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(RuntimeError):
        write_then_fail(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/old").write_text("old")
    with pytest.raises(RuntimeError):
        fill_folder_then_fail(tmp_path / "folder")
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == ["old"]


def test_a_folder_that_nothing_came_for_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/old").write_text("old")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "folder"):
        pass
    assert names(tmp_path / "folder") == ["old"]
    assert names(tmp_path) == ["folder"]


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".file.new").mkdir()
    (tmp_path / ".file.new/half").write_text("half")
    with replacing(tmp_path / "file") as draft:
        draft.write_text("whole")
    assert names(tmp_path) == ["file"]


@given(JSON)
def test_rounding_leaves_only_what_json_can_say(value: Any) -> None:
    once = rounded(value)
    assert rounded(once) == once
    assert json.loads(json.dumps(once, allow_nan=False)) == once


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9))
def test_rounding_moves_a_number_by_less_than_a_millionth(value: float) -> None:
    assert abs(rounded(value) - value) <= 5.1e-7 + abs(value) * 1e-15


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_what_is_not_finite_becomes_none(value: float) -> None:
    assert rounded({"a": [value]}) == {"a": [None]}


def test_there_is_no_negative_zero() -> None:
    assert str(rounded(-1e-9)) == "0.0"


def test_json_is_the_same_bytes_whatever_the_order_of_the_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"x": 1.00000004, "y": {"q": None, "p": True}})
    write_json(tmp_path / "b", {"y": {"p": True, "q": None}, "x": 1.0})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_json(tmp_path / "a") == {"x": 1.0, "y": {"q": None, "p": True}}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\xfe"])
def test_what_is_no_json_object_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"metrics\.json: not a JSON object\. Run `dvc repro`"):
        read_json(path)


def test_parquet_comes_back_as_it_was_and_as_the_same_bytes(tmp_path: Path) -> None:
    table = pl.DataFrame({"x": [1, None, 3], "y": ["a", "b", None], "z": [0.5, float("inf"), None]})
    write_parquet(tmp_path / "a", table)
    write_parquet(tmp_path / "b", pl.concat([table[:1], table[1:]], rechunk=False))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_parquet(tmp_path / "a").equals(table)


def test_truncated_parquet_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "raw.parquet"
    write_parquet(path, pl.DataFrame({"x": range(1000)}))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"raw\.parquet: not readable Parquet .*dvc repro --force") as error:
        read_parquet(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_json, read_parquet, sha256_of])
def test_a_missing_file_says_what_makes_it(read: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent: no such file\. Run `dvc repro` to make it\."):
        read(tmp_path / "absent")


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"a": 1})
    # The draft is on a full device, so every write fails.
    Path(tmp_path / "full").symlink_to("/dev/full")
    draft_name = ".metrics.json.new"
    real = Path.write_text
    monkeypatch.setattr(
        Path, "write_text", lambda self, *a, **k: real(tmp_path / "full" if self.name == draft_name else self, *a, **k)
    )
    with pytest.raises(OSError, match=os.strerror(28)):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert names(tmp_path) == ["full", "metrics.json"]
