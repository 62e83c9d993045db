"""A project whose production serves a first version, and everything around it that a retraining needs."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from champion.environments import load_environment
from champion.registry import history
from champion.registry.chain import Row
from champion.registry.registry import Registry
from support.project import Project, built_once, copy_working_tree
from support.small import TABLE, small_table, use_small_params

STEPS = ("extract", "prepare", "validate", "train", "evaluate", "compare", "deploy")


@dataclass(frozen=True)
class Continuous:
    """A project whose production serves v1, with a repository at GitHub, a DVC remote and a ledger beside it."""

    project: Project

    @property
    def root(self) -> Path:
        return self.project.folder

    @property
    def github(self) -> Path:
        return self.root / "var/github.git"

    @property
    def variables(self) -> dict[str, str]:
        var = self.root / "var"
        return {
            "CHAMPION_DATABASE_URL": f"sqlite:///{var}/ledger.db",
            "CHAMPION_STORE_URL": str(var / "stores"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{var}/mlflow.db",
        }

    def retrain(
        self, *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        variables = self.variables | dict(environment or {})
        command = ("retrain", *arguments, "--env", "production")
        return self.project.champion(*command, check=check, environment=variables, warm_stages=True)

    def retrain_before(self, step: str, environment: Mapping[str, str] | None = None) -> None:
        """Take the steps before this one, each alone."""
        for earlier in STEPS[: STEPS.index(step)]:
            self.retrain(earlier, environment=environment)

    def start(self, *steps: str, at: Path | None = None) -> "subprocess.Popen[str]":
        """The same in a process of its own, which can be killed, perhaps in another clone."""
        return subprocess.Popen(
            [sys.executable, "-m", "champion", "retrain", *steps, "--env", "production"],
            cwd=at or self.root,
            env=os.environ | self.variables | {"PYTHONPATH": str(self.root / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def rows(self) -> list[Row]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables.items():
                patch.setenv(name, value)
            return Registry.open(load_environment("production", self.root)).rows

    def serving(self, environment: str = "production") -> str | None:
        live = history.live(self.rows(), environment)
        return None if live is None else live.version

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        return self.project.run("git", "-C", str(folder or self.root), *arguments).stdout.strip()

    def references(self) -> list[str]:
        """The branches and tags at GitHub."""
        listed = self.git("for-each-ref", "--format=%(refname)", folder=self.github)
        return [name.removeprefix("refs/") for name in listed.split()]

    def add_cases(self, days: int = 150, rows: int = 150) -> None:
        """Let the source have the newest cases once more, so many days later."""
        table = small_table()
        later = table.tail(rows).with_columns(pl.col("opened") + timedelta(days=days), pl.col("case") + 10_000)
        pl.concat([table, later]).write_csv(self.root / TABLE)

    def edit_main(self, section: str, **changes: Any) -> None:
        """Change params.yaml on main, here and at GitHub."""
        self.project.edit_params(lambda params: params[section].update(changes))
        self.project.run("git", "commit", "--quiet", "--all", "--message", f"Change {section}")
        self.git("push", "--quiet", "origin", "main")


def connect(project: Project) -> Continuous:
    """Let the project know its GitHub and its DVC remote, which are below its folder."""
    found = Continuous(project)
    local = f"[core]\n    remote = disk\n['remote \"disk\"']\n    url = {project.folder}/var/remote\n"
    (project.folder / ".dvc/config.local").write_text(local)
    found.git("remote", "set-url", "origin", str(found.github))
    return found


@pytest.fixture(scope="session")
def in_production(shared: Path) -> Project:
    """The first model of a small table, brought to production by a first retraining. Copy it."""
    folder = shared / "continuous"

    def build() -> None:
        project = copy_working_tree(folder)
        use_small_params(project)
        project.edit_params(lambda params: params["challenge"].update(max_loss=0.9, margin=0))
        (folder / TABLE).parent.mkdir(exist_ok=True)
        small_table().write_csv(folder / TABLE)
        project.commit("A small table")
        project.run("git", "clone", "--quiet", "--bare", str(folder), str(folder / "var/github.git"))
        project.run("git", "remote", "add", "origin", "nowhere")
        connect(project).retrain()
        project.pack()

    built_once(shared / "continuous.done", build)
    return Project(folder)


@pytest.fixture
def continuous(in_production: Project, tmp_path: Path) -> Continuous:
    return connect(in_production.copy_to(tmp_path / "project"))
