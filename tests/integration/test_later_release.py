"""A clone with a table of its own takes in a later release of Champion."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.project import Project

# A release changes Champion's code and each file that a team changes too.
CODE = "src/champion/repository/later_release.py"


@pytest.fixture(scope="module")
def team(small_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone with its own params, own/, config/ and README, which has fetched `v9.0.0` of its origin."""
    folder = tmp_path_factory.mktemp("team")
    champion = Project(folder / "champion")
    small_run.run("git", "clone", "--quiet", str(small_run.folder), str(champion.folder))
    champion.run("git", "config", "user.name", "Champion")
    champion.run("git", "config", "user.email", "champion@example.org")
    team = champion.copy_to(folder / "team")
    team.edit_params(lambda params: params["train"]["hist_gradient_boosting"].update(max_iter=7))
    write(team, "README.md", "# Our churn\n")
    write(team, "own/features.py", "# Ours\n")
    write(team, "own/README.md", "Ours\n")
    write(team, "config/flags.json", '{"flags": {}}\n')
    write(team, "data/source/churn.csv", "a,b\n1,2\n")
    write(team, "dvc.lock", "schema: '2.0'\nstages: {}\n")
    write(team, "metrics/evaluation.json", "{}\n")
    (team.folder / "metrics/rehearsals.json").unlink()
    team.commit("Our table")

    champion.edit_params(lambda params: params["train"]["hist_gradient_boosting"].update(max_iter=9))
    for path in ("README.md", "own/README.md", "config/flags.json", "dvc.lock", "metrics/evaluation.json", CODE):
        write(champion, path, (champion.folder / path).read_text(encoding="utf-8") + "\n# Version 9\n")
    write(champion, "metrics/rehearsals.json", '{"version": 9}\n')
    write(champion, "own/features.py", "# Of version 9\n")
    write(champion, "config/environments.yaml", "# Of version 9, untouched by the team\n")
    champion.commit("Version 9")
    champion.run("git", "tag", "v9.0.0")
    team.run("git", "remote", "add", "champion", str(champion.folder))
    team.run("git", "fetch", "--quiet", "champion", "--tags")
    return team


@pytest.fixture
def project(team: Project, tmp_path: Path) -> Project:
    return team.copy_to(tmp_path / "project")


def write(project: Project, path: str, text: str) -> None:
    (project.folder / path).parent.mkdir(parents=True, exist_ok=True)
    (project.folder / path).write_text(text, encoding="utf-8")


def read(project: Project, path: str) -> str:
    return (project.folder / path).read_text(encoding="utf-8")


def head(project: Project) -> str:
    return project.run("git", "rev-parse", "HEAD").stdout


def test_an_update_keeps_what_the_team_changed_and_takes_the_rest(project: Project) -> None:
    assert project.run("git", "merge", "v9.0.0", check=False).returncode, "plain git finds conflicts"
    project.run("git", "merge", "--abort")
    mine = ("README.md", "own/features.py", "config/flags.json", "params.yaml", "dvc.lock", "metrics/evaluation.json")
    before = {path: read(project, path) for path in mine}
    told = project.champion("update", "v9.0.0").stdout
    assert {path: read(project, path) for path in mine} == before
    assert not (project.folder / "metrics/rehearsals.json").exists()
    assert "# Version 9" in read(project, CODE)
    assert read(project, "config/environments.yaml").startswith("# Of version 9")
    assert project.run("git", "status", "--porcelain").stdout == ""
    assert project.run("git", "merge-base", "--is-ancestor", "v9.0.0", "HEAD").returncode == 0
    shown = next(line.split("`")[1] for line in told.splitlines() if "params.yaml" in line)
    assert "+    max_iter: 9" in project.run("sh", "-c", shown).stdout
    kept = [line.split()[3] for line in told.splitlines() if line.startswith("kept as yours: ")]
    assert kept == sorted([*mine, "own/README.md", "metrics/rehearsals.json"])
    assert told.splitlines()[-1].startswith("v9.0.0 is merged and committed.")


def test_champions_code_that_the_team_changed_is_a_conflict_and_nothing_else_is(project: Project) -> None:
    write(project, CODE, read(project, CODE) + "\n# Ours\n")
    project.commit("Change Champion's code")
    done = project.champion("update", "v9.0.0", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: in conflict: {CODE}. You changed")
    assert project.run("git", "diff", "--name-only", "--diff-filter=U").stdout.split() == [CODE]
    project.run("git", "checkout", "--theirs", CODE)
    project.run("git", "add", CODE)
    project.run("git", "commit", "--quiet", "--no-edit")
    assert "max_iter: 7" in read(project, "params.yaml")
    assert "is in this repository already" in project.champion("update", "v9.0.0", check=False).stderr


def test_a_copy_without_history_says_once_which_release_it_was_made_from(project: Project) -> None:
    start = project.run("git", "merge-base", "HEAD", "v9.0.0").stdout.strip()
    project.run("git", "tag", "v8.0.0", start)
    project.run("git", "checkout", "--quiet", "--orphan", "made-from-a-template")
    project.commit("Initial commit")
    refused = project.champion("update", "v9.0.0", check=False)
    assert "no commit in common with v9.0.0" in refused.stderr
    command = refused.stderr.split("`")[1].replace("RELEASE", "v8.0.0")
    project.run("sh", "-c", f"{command} --no-edit")
    project.champion("update", "v9.0.0")
    assert "# Version 9" in read(project, CODE)
    assert "max_iter: 7" in read(project, "params.yaml")


def change_params(project: Project) -> None:
    project.edit_params(lambda params: params["train"].update(seed=1))


def lose_the_identity(project: Project) -> None:
    project.run("git", "config", "user.useConfigOnly", "true")
    project.run("git", "config", "--unset", "user.email")


def add_untracked(project: Project) -> None:
    project.run("git", "rm", "--quiet", "--cached", "own/features.py")
    project.run("git", "commit", "--quiet", "--message", "own/features.py is private")


@pytest.mark.parametrize(
    ("release", "break_it", "sentence"),
    [
        ("v10", None, "git has no release v10 here"),
        ("v9.0.0", change_params, "there are uncommitted changes"),
        ("v9.0.0", lose_the_identity, "`git var` failed"),
        ("v9.0.0", add_untracked, "`git merge v9.0.0` failed: "),
    ],
)
def test_an_update_that_cannot_be_made_is_one_sentence_and_changes_nothing(
    release: str, break_it: Callable[[Project], Any] | None, sentence: str, project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.delenv("EMAIL", raising=False)
    if break_it:
        break_it(project)
    before = head(project), project.run("git", "status", "--porcelain").stdout, read(project, "own/features.py")
    done = project.champion("update", release, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {sentence}")
    assert "Traceback" not in done.stderr
    after = head(project), project.run("git", "status", "--porcelain").stdout, read(project, "own/features.py")
    assert after == before
