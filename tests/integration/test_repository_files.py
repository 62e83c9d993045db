"""What people meet before the code: the files that GitHub shows, the hooks, and the container for development."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from champion.core.yaml_text import read_yaml
from support.project import REPOSITORY, Project


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def test_every_file_that_contributing_says_to_open_exists() -> None:
    table = [line for line in text_of("CONTRIBUTING.md").splitlines() if line.startswith("| a")]
    named = [path for line in table for path in re.findall(r"`([\w./]+/[\w./]*)`", line)]
    assert len(named) > 12
    for path in named:
        assert any((folder / path).exists() for folder in (REPOSITORY, REPOSITORY / "src/champion")), path
    for line in table:
        for name in re.findall(r"`(\w+\.(?:py|yaml))`", line):
            assert (REPOSITORY / name).exists() or list((REPOSITORY / "src").rglob(name)), name


@pytest.mark.example
def test_the_version_is_the_same_wherever_it_is_told() -> None:
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    assert read_yaml(REPOSITORY / "CITATION.cff")["version"] == version
    assert f"\n## {version} " in text_of("CHANGELOG.md")


def test_the_container_runs_a_set_up_that_exists() -> None:
    container = json.loads(text_of(".devcontainer/devcontainer.json"))
    groups = re.search(r"make setup GROUP='([\w ]+)'", container["postCreateCommand"])
    known = re.search(r"^GROUPS := (.+)$", text_of("Makefile"), flags=re.MULTILINE)
    assert groups is not None
    assert known is not None
    assert set(groups[1].split()) <= set(known[1].split())


@pytest.fixture
def hooked(project: Project) -> Project:
    """A clone in which the hooks are installed."""
    (project.folder / ".venv").symlink_to(Path(REPOSITORY / ".venv"))
    project.run("pre-commit", "install")
    return project


def commit(project: Project, name: str, text: str) -> str:
    """What the hooks of a commit with this file print; empty if it is committed."""
    (project.folder / name).write_text(text, encoding="utf-8")
    project.run("git", "add", "--force", name)
    done = project.run("git", "commit", "--message", "A change", check=False)
    return (done.stdout + done.stderr) if done.returncode else ""


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("own/columns.py", "import os\n", "F401"),
        ("own/columns.py", "x = {'a':1}\n", "1 file reformatted"),
        ("data/rows.parquet", "rows", "Data and models belong to DVC."),
        ("params.yaml", "windows: 1\n", "error: params.yaml:"),
    ],
)
def test_a_commit_that_the_hooks_refuse_is_told_why(name: str, text: str, told: str, hooked: Project) -> None:
    assert told in commit(hooked, name, text)
    assert hooked.run("git", "log", "-1", "--format=%s").stdout.strip() != "A change"


def test_a_good_commit_passes_the_hooks(hooked: Project) -> None:
    assert commit(hooked, "own/columns.py", '"""Columns."""\n') == ""


def test_a_stale_lock_is_not_pushed(hooked: Project) -> None:
    commit(hooked, "own/columns.py", '"""Columns, on which stages depend."""\n')
    done = hooked.run("pre-commit", "run", "--hook-stage", "pre-push", "--all-files", "lock", check=False)
    assert done.returncode == 1
    assert "stage train: own is modified since dvc.lock was made" in done.stdout
