"""A retraining's pull request, against a stand-in for GitHub."""

import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from champion.core.errors import UserError
from champion.repository import git
from champion.repository.worktree import commit_worktree
from champion.retraining.publication import add_tag, propose
from support.github_api import Hub, serving

VERSION: Any = SimpleNamespace(
    name="v7", params={"as_of": "2026-11-01"}, metrics={"roc_auc": 0.71, "brier_skill": None}, git_commit="a1"
)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub(branches=["main", "retrain/2026-11-01"])) as hub:
        yield hub


def variables(hub: Hub) -> dict[str, str]:
    return {"GITHUB_API_URL": hub.url, "GITHUB_REPOSITORY": hub.repository, "GITHUB_TOKEN": "ghs_test"}


def test_a_retrained_version_is_proposed_once(hub: Hub) -> None:
    assert propose(VERSION, "production", variables(hub)) == "https://github.example/pull/1"
    assert propose(VERSION, "production", variables(hub)) == "https://github.example/pull/1"
    (pull,) = hub.pulls
    assert pull["title"] == "Retrained as of 2026-11-01: v7 is the champion"
    assert "roc_auc 0.7100" in pull["body"]


def test_a_version_of_no_retraining_is_not_proposed(hub: Hub) -> None:
    hub.branches = ["main", "retrain/2026-11-01-again"]
    assert propose(VERSION, "production", variables(hub)) is None
    assert hub.pulls == []


@pytest.mark.parametrize("name", ["GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN"])
def test_a_missing_variable_of_github_is_named(hub: Hub, name: str) -> None:
    with pytest.raises(UserError, match=f"the environment variable {name} is not set"):
        propose(VERSION, "production", variables(hub) | {name: ""})
    assert hub.requests == []


def test_hooks_and_signatures_of_a_user_do_not_change_the_commit(tmp_path: Path) -> None:
    commits = []
    for name in ("plain", "special"):
        folder = tmp_path / name
        folder.mkdir()
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=folder, check=True)
        (folder / "file").write_text("content")
        if name == "special":
            for setting in ("commit.gpgSign", "tag.gpgSign"):
                git.answer(folder, "config", setting, "true")
            hook = folder / ".git/hooks/prepare-commit-msg"
            hook.parent.mkdir(exist_ok=True)
            hook.write_text('#!/bin/sh\necho "Ticket 7" >> "$1"\n')
            hook.chmod(0o755)
        commits.append(commit_worktree(folder, "Retrain as of 2026-11-01", date(2026, 11, 1)))
        add_tag(folder, "champion/staging/v7", commits[-1], public=False)
        assert git.commit_of(folder, "refs/tags/champion/staging/v7") == commits[-1]
    assert commits[0] == commits[1]
