"""`make setup ONLY=...`: a smaller environment does what it is for, and says in one sentence what it cannot do."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
import requests

from champion.repository.remote import default_remote
from support import serving
from support.delivery import InState
from support.project import REPOSITORY, Project
from support.results import people
from support.s3 import running_server
from support.serving import ROW, await_true

UV = Path(sys.executable).with_name("uv")
ONLIES = ("serve", "pull", "metrics")


@dataclass(frozen=True)
class Programs:
    """The programs of an environment, which run without those of the tests' own."""

    folder: Path

    def run(self, *command: str, cwd: Path, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin"
        env = os.environ | {"PATH": path, "PYTHONPATH": ""} | variables
        result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        assert result.returncode == 0 or not check, result.stderr
        return result

    def refused(self, *command: str, cwd: Path) -> str:
        """The one line on stderr of a command that fails."""
        result = self.run(*command, cwd=cwd, check=False)
        assert (result.returncode, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        return line


def begin(project: Project) -> Path:
    """Make `.venv` in the project as the Makefile does first, with the uv of the tests. Returns its programs."""
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, ".venv"], cwd=project.folder, check=True)
    programs = project.folder / ".venv/bin"
    (programs / "uv").symlink_to(UV)
    (programs / ".bootstrap").touch()
    return programs


def set_up(project: Project, only: str) -> Programs:
    """The environment of `make setup ONLY=`, which has all that its packages need, and shows the commands."""
    programs = Programs(begin(project))
    programs.run("make", "setup", f"ONLY={only}", "COMPILE=", cwd=project.folder)
    programs.run("uv", "pip", "check", "--python", str(programs.folder / "python"), cwd=project.folder)
    assert "Start here" in programs.run("champion", "--help", cwd=project.folder).stdout
    return programs


def pins(lock: str) -> dict[str, str]:
    """The version of each package of a lock."""
    text = (REPOSITORY / f"requirements/{lock}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\S+)==(\S+)", text, re.MULTILINE))


def observed(server: serving.Server) -> str:
    """The page, when the server has read what it shows there and has measured drift."""
    pages: list[str] = []

    def is_whole() -> bool:
        key = server.authorization.removeprefix("Bearer ")
        pages.append(requests.get(server.url, auth=("anybody", key), timeout=10).text)
        return "Drift of what v2 answered" in pages[-1] or "What is wrong now" in pages[-1]

    await_true(is_whole, 30)
    return pages[-1]


@pytest.mark.parametrize("only", ONLIES)
def test_a_smaller_lock_has_the_versions_of_the_whole_environment(only: str) -> None:
    whole = pins("runtime") | (pins("serving") if only == "serve" else {})
    assert pins(f"only-{only}").items() <= whole.items()


def test_a_host_that_only_serves_answers_and_scores(
    project: Project, in_state: InState, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs, promoted = set_up(project, "serve"), in_state("promoted twice")
    monkeypatch.setattr(serving, "CHAMPION", programs.folder / "champion")
    with serving.serving(promoted) as server:
        assert server.predict()["version"] == "v2"
        explained = server.session.post(f"{server.url}/v1/predict?reasons=2", json={"row": ROW}, timeout=30)
        assert len(explained.json()["predictions"][0]["reasons"]) == 2
        assert "What is wrong now" not in observed(server)
    people(50, 7, 50_000, date(2021, 1, 1)).write_parquet(tmp_path / "people.parquet")
    scored = programs.run("champion", "score", str(tmp_path / "people.parquet"), "scored.csv", cwd=promoted.root)
    assert "50 rows scored with v2" in scored.stdout
    rows = len(promoted.production.rows)
    assert programs.refused("champion", "smoke", cwd=promoted.root) == (
        "error: the smoke test opens model.skops with skops, which is not installed here. Run `make setup`."
    )
    assert len(promoted.production.rows) == rows
    programs.run("champion", "audit", cwd=promoted.root)
    assert "production serves v1" in programs.run("champion", "rollback", cwd=promoted.root).stdout


@pytest.mark.sweep
def test_a_machine_that_only_pulls_and_pushes_has_every_file(
    project: Project, small_run: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    programs, filled = set_up(project, "pull"), small_run.copy_to(project.folder.with_name("filled"))
    clone = project.folder.with_name("clone")
    with running_server(tmp_path_factory.mktemp("s3"), default_remote(REPOSITORY).bucket) as server:
        programs.run("champion", "push", cwd=filled.folder, **server.environment)
        filled.run("git", "clone", "--quiet", str(filled.folder), str(clone))
        programs.run("champion", "pull", cwd=clone, **server.environment)
        for path in ("models/model.onnx", "models/model.skops", "models/model_card.md", "data/prepared/test.parquet"):
            assert (clone / path).read_bytes() == (filled.folder / path).read_bytes()
        shutil.rmtree(clone / "models")
        programs.run("dvc", "pull", cwd=clone, **server.environment)
        assert (clone / "models/model.onnx").exists()
    assert programs.refused("champion", "gate", cwd=clone) == (
        "error: this command needs the Python package 'numpy', which is not installed here. `make setup` installs all "
        "that the pipeline needs."
    )


@pytest.mark.sweep
def test_a_machine_that_only_reads_metrics_compares_them(project: Project, small_run: Project) -> None:
    programs, results = set_up(project, "metrics"), small_run.copy_to(project.folder.with_name("results"))
    shutil.rmtree(results.folder / ".dvc/cache")
    text = (results.folder / "metrics/evaluation.json").read_text(encoding="utf-8")
    (results.folder / "metrics/evaluation.json").write_text(
        re.sub(r'("roc_auc": )\S+?(,?\n)', r"\g<1>0.5\2", text), encoding="utf-8"
    )
    assert "0.5" in programs.run("dvc", "metrics", "show", "--md", cwd=results.folder).stdout
    changed = programs.run("dvc", "metrics", "diff", "main", "--md", cwd=results.folder).stdout
    assert re.search(r"metrics/evaluation.json +\| roc_auc +\| \S+ +\| 0.5 ", changed), changed
    programs.run("dvc", "params", "diff", "main", cwd=results.folder)
    (results.folder / "params.yaml").write_text("as_of: '2000-01-01'\n", encoding="utf-8")
    assert "2000-01-01" in programs.run("dvc", "params", "diff", "main", cwd=results.folder).stdout
    for command in ("pull", "serve", "check"):
        assert "`make setup" in programs.refused("champion", command, cwd=results.folder)


@pytest.mark.parametrize(
    ("has", "wanted", "sentence"),
    [
        (".runtime", ["ONLY=pull"], ".venv has the whole environment, which does all that ONLY=pull does"),
        (".only-serve", ["ONLY=pull"], ".venv has the environment of ONLY=serve. Remove .venv first"),
        (".bootstrap", ["ONLY=training"], "ONLY is one of serve pull metrics"),
        (".bootstrap", ["ONLY=serve pull"], "ONLY is one of serve pull metrics"),
        (".bootstrap", ["ONLY=pull", "GROUP=report"], "GROUP adds to the whole environment"),
    ],
)
def test_what_is_no_smaller_environment_is_refused(
    project: Project, has: str, wanted: list[str], sentence: str
) -> None:
    programs = begin(project)
    (programs / has).touch()
    refused = project.run("make", "setup", *wanted, check=False)
    assert refused.returncode != 0
    assert f"*** {sentence}" in refused.stderr
    assert list((project.folder / ".venv").glob("lib/python*/site-packages/dvc")) == []


def test_the_whole_environment_can_be_added_to_a_smaller_one(project: Project) -> None:
    (begin(project) / ".only-pull").touch()
    planned = project.run("make", "--dry-run", "setup").stdout
    assert "-r requirements/runtime.txt" in planned
    assert "rm -f .venv/bin/.only-*" in planned
