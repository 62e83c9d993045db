"""Projects for many test files: one with a small table, and one as GitHub would hold it."""

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from champion.repository.local_s3 import LocalServer
from champion.repository.remote import default_remote
from support.act import HOSTILE, HOSTILE_METRIC, Runner
from support.github_api import Hub, serving
from support.project import EXAMPLE, Project, built_once, copy_working_tree
from support.s3 import running_server
from support.small import small_table, use_small_params


@pytest.fixture(scope="session")
def small_run(shared: Path) -> Project:
    """The whole pipeline run on the small table, once for all workers: copy it (`copy_to`) before changing anything."""
    folder = shared / "small"

    def build() -> None:
        project = copy_working_tree(folder)
        small_table().write_csv(folder / "data/source/cases.csv")
        use_small_params(project)
        project.repro()
        project.commit("Run on the small table")
        project.pack()

    built_once(shared / "small.done", build)
    return Project(folder)


@pytest.fixture
def small(small_run: Project, tmp_path: Path) -> Project:
    """A copy of the finished small project, to break."""
    return small_run.copy_to(tmp_path / "project")


@pytest.fixture(scope="session")
def tracked(small_run: Project, shared: Path) -> Project:
    """The small table's result, tracked by the command. Read only."""
    folder = shared / "tracked"

    def build() -> None:
        assert ": tracked, run " in small_run.copy_to(folder).champion("track").stdout

    built_once(shared / "tracked.done", build)
    return Project(folder)


@pytest.fixture(scope="session")
def empty_mlflow(shared: Path) -> Path:
    """A SQLite file without runs, made once for all workers, because MLflow's migrations take seconds. Copy it."""
    file = shared / "empty-mlflow.db"

    def build() -> None:
        from mlflow import MlflowClient

        with warnings.catch_warnings(action="ignore"):
            MlflowClient(f"sqlite:///{file}").search_experiments()

    built_once(shared / "empty-mlflow.done", build)
    return file


@pytest.fixture(scope="session")
def origin(sample_run: Project, shared: Path) -> Project:
    """The repository at GitHub: branches that change the model in the ways a pull request can. Clone it.

    Next to it is `origin-s3`, the folder of an S3 server with the outputs of all branches.
    """
    folder = shared / "origin"

    def build() -> None:
        project = sample_run.copy_to(folder)
        add_branches(project)
        with LocalServer(shared / "origin-s3", default_remote(EXAMPLE).bucket) as server:
            # The only AWS here is this server; the machine's own accounts are hidden.
            home = {"HOME": str(shared), "AWS_EC2_METADATA_DISABLED": "true"}
            project.run("dvc", "push", "--all-branches", environment=server.environment | home)

    built_once(shared / "origin.done", build)
    return Project(folder)


def add_branches(project: Project) -> None:
    def branch(name: str, start: str = "main") -> None:
        project.run("git", "checkout", "--quiet", "-b", name, start)

    def run(message: str) -> None:
        project.repro()
        project.commit(message)

    def set_iterations(number: int) -> None:
        project.edit_params(lambda params: params["train"]["hist_gradient_boosting"].update(max_iter=number))

    def loosen(params: dict[str, Any]) -> None:
        params["gates"] = {"roc_auc": {"min": 0.6}, "brier_skill": {"min": 0.01}}
        params["compare"] = {"tolerances": {"roc_auc": 0.05, "brier_skill": 0.01}}
        params["challenge"] |= {"margin": 0.0, "min_rows": 100, "samples": 200}

    def weaken(params: dict[str, Any]) -> None:
        params["gates"] = {"roc_auc": {"min": 0.5}}
        params["train"]["hist_gradient_boosting"] |= {"max_iter": 1, "max_leaf_nodes": 2}

    project.edit_params(loosen)
    run("A model that passes")

    branch("worse")
    set_iterations(1)
    run("One tree")

    branch("weaker")
    project.edit_params(weaken)
    run("One split, and a gate that lets it pass")

    branch("unchanged")
    (project.folder / "README.md").write_text("Changed.\n", encoding="utf-8")
    project.commit("Words only")

    branch("stale")
    set_iterations(19)
    project.commit("A tree less, and nobody ran them")

    branch(HOSTILE)
    metrics = json.loads((project.folder / "metrics/evaluation.json").read_text(encoding="utf-8"))
    (project.folder / "metrics/evaluation.json").write_text(json.dumps(metrics | {HOSTILE_METRIC: 1}), encoding="utf-8")
    project.commit("A metric with a name")

    project.run("git", "checkout", "--quiet", "--orphan", "empty")
    project.run("git", "rm", "-rfq", ".")
    (project.folder / "LICENSE").write_text("MIT\n", encoding="utf-8")
    project.run("git", "add", "LICENSE")
    project.run("git", "commit", "--quiet", "--message", "Before there was a pipeline")

    project.run("git", "checkout", "--quiet", "--force", "main")
    project.run("dvc", "checkout", "--quiet")


@pytest.fixture(scope="module")
def runner(origin: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Runs workflows for origin, with an S3 server and a GitHub of the module's own."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(origin.folder.with_name("origin-s3"), folder / "s3")
    with running_server(folder / "s3", default_remote(EXAMPLE).bucket) as server, serving(Hub()) as hub:
        yield Runner(folder, origin, hub, server)
