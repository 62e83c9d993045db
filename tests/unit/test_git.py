"""Calls of git."""

import subprocess
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.repository import git
from champion.repository.transfer import push


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit of dvc.lock and a metric."""
    for name in (".dvc/config", "dvc.lock", "metrics/evaluation.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}\n")
    for command in (["init"], ["config", "user.name", "T"], ["config", "user.email", "t@example.org"], ["add", "."]):
        subprocess.run(["git", *command, *(["--quiet"] if command == ["init"] else [])], cwd=tmp_path, check=True)
    subprocess.run(["git", "commit", "--quiet", "--message", "First"], cwd=tmp_path, check=True)
    return tmp_path


def test_a_file_that_git_does_not_track_is_uncommitted(repository: Path) -> None:
    assert git.uncommitted_files(repository, Path("dvc.lock"), Path("metrics")) == []
    (repository / "metrics/new one.json").write_text("{}")
    (repository / "elsewhere").write_text("")
    assert git.uncommitted_files(repository, Path("dvc.lock"), Path("metrics")) == ["metrics/new one.json"]
    assert git.is_clean(repository)


def test_a_changed_file_is_uncommitted(repository: Path) -> None:
    (repository / "dvc.lock").write_text("changed")
    assert git.uncommitted_files(repository, Path("dvc.lock"), Path("metrics")) == ["dvc.lock"]
    assert not git.is_clean(repository)


def test_a_push_refuses_a_metric_that_nobody_committed(repository: Path) -> None:
    (repository / "metrics/new.json").write_text("{}")
    with pytest.raises(UserError, match="metrics/ has uncommitted changes"):
        push(repository, verify=False)


def test_a_failure_is_told_with_gits_own_reason(repository: Path) -> None:
    with pytest.raises(UserError, match=r"`git show` failed: fatal: .*nothing"):
        git.answer(repository, "show", "nothing")
