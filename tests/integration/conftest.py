"""A project on a small table of its own, run once."""

from pathlib import Path

import pytest

from support.project import Project, built_once, copy_working_tree
from support.small import small_table, use_small_params


@pytest.fixture(scope="session")
def small_run(shared: Path) -> Project:
    """The whole pipeline run on the small table, once for all workers: copy it (`copy_to`) before changing anything."""
    folder = shared / "small"

    def build() -> None:
        project = copy_working_tree(folder)
        small_table().write_csv(folder / "data/source/cases.csv")
        use_small_params(project)
        project.run("dvc", "repro")
        project.commit("Run on the small table")

    built_once(shared / "small.done", build)
    return Project(folder)


@pytest.fixture
def small(small_run: Project, tmp_path: Path) -> Project:
    """A copy of the finished small project, to break."""
    return small_run.copy_to(tmp_path / "project")
