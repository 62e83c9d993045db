"""What counts as committed: HEAD, or HEAD at another date."""

import json
from pathlib import Path
from typing import Any

import pytest

from champion.core.errors import ConflictError
from champion.repository.committed import is_committed, require_committed
from support.delivery import git

PARAMS = {"as_of": "2010-01-01", "gates": {"f1": {"min": 0.5}}}


def write(root: Path, **files: Any) -> None:
    names = {"params": "params.yaml", "lock": "dvc.lock", "metric": "metrics/evaluation.json", "code": "code.py"}
    for name, content in files.items():
        (root / "metrics").mkdir(exist_ok=True)
        (root / names[name]).write_text(json.dumps(content))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    write(tmp_path, params=PARAMS, lock={"stages": {}}, metric={"f1": 0.6}, code=1)
    metric = {"metrics/evaluation.json": {"cache": False}}
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": {"evaluate": {"metrics": [metric]}}}))
    git(tmp_path, "init", "--quiet")
    for key in ("user.name", "user.email"):
        git(tmp_path, "config", key, "test@example.org")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "All")
    return tmp_path


def test_head_is_committed_whatever_git_does_not_track(repository: Path) -> None:
    (repository / "notes.txt").write_text("")
    require_committed(repository)
    assert is_committed(repository)


def test_a_retraining_moves_the_date_and_what_the_pipeline_writes(repository: Path) -> None:
    write(repository, params=PARAMS | {"as_of": "2011-01-01"}, lock={"stages": {"train": {}}}, metric={"f1": 0.7})
    require_committed(repository)
    assert is_committed(repository)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"lock": {"stages": {"train": {}}}}, "dvc.lock: not as committed"),
        ({"params": PARAMS | {"gates": {}}}, "params.yaml: `gates` not as committed"),
        ({"params": PARAMS | {"compare": {}}}, "params.yaml: `compare` not as committed"),
        ({"params": {"as_of": "2011-01-01"}}, "params.yaml: `gates` not as committed"),
        ({"params": PARAMS | {"as_of": "2011-01-01"}, "code": 2}, "code.py: not as committed, and `as_of` was moved"),
    ],
)
def test_any_other_difference_is_named(repository: Path, files: dict[str, Any], reason: str) -> None:
    write(repository, **files)
    with pytest.raises(ConflictError, match=reason):
        require_committed(repository)
    assert not is_committed(repository)


def test_an_edit_that_judges_nothing_leaves_the_verdict_and_is_remembered(repository: Path) -> None:
    write(repository, code=2)
    require_committed(repository)
    assert not is_committed(repository)


def test_nothing_is_committed_outside_of_git(tmp_path: Path) -> None:
    write(tmp_path, params=PARAMS)
    assert not is_committed(tmp_path)
    with pytest.raises(ConflictError, match=r"params.yaml: not committed"):
        require_committed(tmp_path)
