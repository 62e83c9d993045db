"""A merge of two branches that both changed the pipeline, and the one command that resolves its dvc.lock."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.project import Project

Edit = Callable[[dict[str, Any]], None]


def fewer_trees(params: dict[str, Any]) -> None:
    params["train"]["hist_gradient_boosting"]["max_iter"] = 4


def other_samples(params: dict[str, Any]) -> None:
    params["evaluate"]["bootstrap_samples"] = 110


def more_samples(params: dict[str, Any]) -> None:
    params["evaluate"]["bootstrap_samples"] = 120


def merge(project: Project, ours: Edit, theirs: Edit) -> list[str]:
    """Merge a branch with one change into main with another. Returns the files in conflict."""
    for branch, edit in (("theirs", theirs), ("main", ours)):
        project.run("git", "checkout", "--quiet", *(["-b"] if branch == "theirs" else []), branch)
        project.edit_params(edit)
        project.repro()
        project.commit(f"Change of {branch}")
    assert project.run("git", "merge", "theirs", check=False).returncode
    return unmerged(project)


def unmerged(project: Project) -> list[str]:
    return project.run("git", "diff", "--name-only", "--diff-filter=U").stdout.split()


@pytest.fixture(scope="module")
def merged(small_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Fewer trees and another bootstrap: the params merge without conflict, but the outputs do not."""
    project = small_run.copy_to(tmp_path_factory.mktemp("merged") / "champion")
    conflicts = merge(project, fewer_trees, more_samples)
    assert "dvc.lock" in conflicts
    assert "metrics/evaluation.json" in conflicts
    assert "params.yaml" not in conflicts
    return project


@pytest.fixture
def project(merged: Project, tmp_path: Path) -> Project:
    return merged.copy_to(tmp_path / "project")


def test_resolving_runs_what_the_merge_changed_and_stages_a_true_lock(project: Project) -> None:
    result = project.champion("resolve-lock", warm_stages=True)
    assert project.ran(result.stdout) == ["evaluate"], "the trees are as in HEAD: nothing is trained again"
    assert "then commit the merge" in result.stdout
    assert unmerged(project) == []
    assert not project.run("git", "diff", "--name-only").stdout, "all of it is staged"
    project.run("git", "commit", "--quiet", "--no-edit")
    assert project.run("git", "rev-list", "--count", "--merges", "-1", "HEAD").stdout.strip() == "1"
    project.champion("reproduce", "--fast")
    assert "up to date" in project.repro().stdout


@pytest.mark.sweep
def test_what_people_must_resolve_first_is_named_and_nothing_is_changed(small_run: Project, tmp_path: Path) -> None:
    project = small_run.copy_to(tmp_path / "project")
    assert "params.yaml" in merge(project, other_samples, more_samples)
    before = (project.folder / "dvc.lock").read_bytes()
    for added in (False, True):
        if added:
            project.run("git", "add", "params.yaml")
        result = project.champion("resolve-lock", check=False)
        assert result.returncode == 1
        assert result.stderr.startswith("error: in conflict: params.yaml."), "also when added with its markers"
        assert (project.folder / "dvc.lock").read_bytes() == before

    project.run("git", "checkout", "theirs", "--", "params.yaml")
    project.run("git", "add", "params.yaml")
    assert project.ran(project.champion("resolve-lock").stdout) == [], "DVC's run cache has what theirs gave"
    project.run("git", "commit", "--quiet", "--no-edit")
    project.champion("reproduce", "--fast")


@pytest.mark.sweep
def test_a_stage_that_fails_on_what_was_merged_leaves_the_conflict_as_it_was(project: Project) -> None:
    project.edit_params(lambda params: params["evaluate"].update(bootstrap_samples=-1))
    conflicts = unmerged(project)
    before = {path: (project.folder / path).read_bytes() for path in conflicts}
    result = project.champion("resolve-lock", check=False)
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1].startswith("error: `dvc repro` failed after the merge")
    assert unmerged(project) == conflicts
    assert {path: (project.folder / path).read_bytes() for path in conflicts} == before


def test_without_a_conflict_it_says_what_to_run(small_run: Project) -> None:
    result = small_run.champion("resolve-lock", check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: no output of the pipeline is in conflict here. `dvc repro`")
