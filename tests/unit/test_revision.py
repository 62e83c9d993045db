"""The results in a revision."""

from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.repository.revision import working_tree


def test_a_lock_names_outs_and_deps_by_hash(tmp_path: Path) -> None:
    lock = "stages: {train: {deps: [{path: data, md5: d1}], outs: [{path: model, md5: m1}, {path: none}]}}\n"
    (tmp_path / "dvc.lock").write_text(lock)
    assert working_tree(tmp_path).hashes == {"data": "d1", "model": "m1"}


@pytest.mark.parametrize("content", ["stages: [", "- 1", "stages:", "schema: '2.0'", "<<<<<<< HEAD"])
def test_a_lock_that_is_none_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "dvc.lock").write_text(content)
    with pytest.raises(UserError, match=r"dvc.lock of the working tree: not a DVC file.* Run `dvc repro`"):
        _ = working_tree(tmp_path).hashes


def test_without_a_lock_nothing_is_named(tmp_path: Path) -> None:
    assert working_tree(tmp_path).hashes == {}
