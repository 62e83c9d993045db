"""Checks that a command or a stage refuses its input in one sentence and changes no file."""

import hashlib
import importlib
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from support.project import Project


def snapshot(project: Project) -> dict[str, str]:
    """Every folder and file of the project with its SHA-256, without the internal files of git and DVC."""
    found = {}
    for path in sorted(project.folder.rglob("*")):
        name = path.relative_to(project.folder).as_posix()
        if name.startswith((".git/", ".dvc/tmp")) or "__pycache__" in name:
            continue
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


def refusal(project: Project, *command: str, **options: Any) -> str:
    """The stderr of a command that must fail: it exits non-zero, shows no traceback and changes no file."""
    before = snapshot(project)
    result: subprocess.CompletedProcess[str] = project.run(*command, check=False, **options)
    assert result.returncode != 0, result.stdout
    assert "Traceback" not in result.stdout + result.stderr, result.stderr
    assert snapshot(project) == before
    return result.stderr


def run_stage(project: Project, stage: str, environment: Mapping[str, str] | None = None) -> None:
    """Run one stage alone in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.folder)
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        importlib.import_module(f"champion.pipeline.{stage}.__main__").main()


def sentence(project: Project, stage: str, environment: Mapping[str, str] | None = None) -> str:
    """The line with which a stage refuses its input without changing a file. Runs in this process."""
    stage_main = importlib.import_module(f"champion.pipeline.{stage}.__main__").main
    before = snapshot(project)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.folder)
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as refused:
            stage_main()
    assert snapshot(project) == before
    return one_line(f"{refused.value}\n")


def sentence_of_process(project: Project, stage: str, hindrance: str | None = None) -> str:
    """The same from a process of its own; `hindrance` is Python that it runs first."""
    command = ["python", "-m", f"champion.pipeline.{stage}"]
    if hindrance is not None:
        command = ["python", "-c", f"{hindrance}; import os, sys; os.execvp(sys.argv[1], sys.argv[1:])", *command]
    return one_line(refusal(project, *command))


def one_line(said: str) -> str:
    """The message, if it is one sentence on one line."""
    assert said.startswith("error: "), said
    assert said.count("\n") == 1, said
    assert said.endswith(".\n"), said
    return said
