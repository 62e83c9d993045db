"""The report's paired intervals: those of a challenge, or a sentence why there are none."""

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.project import Project, built_once

RECIPE = {"max_iter": 3}


def set_limits(params: dict[str, Any]) -> None:
    params["gates"] = {"roc_auc": {"min": 0.5}}
    params["challenge"] = {"samples": 200, "seed": 3}


@pytest.fixture(scope="module")
def slower_learner(small_run: Project, shared: Path) -> Project:
    """A branch with a recipe that is a little worse, and a champion on main. Copy it before changing anything."""
    folder = shared / "slower-learner"

    def build() -> None:
        project = small_run.copy_to(folder)
        project.edit_params(set_limits)
        project.repro()
        project.commit("Limits")
        project.champion("register")
        project.champion("challenge")
        project.run("git", "checkout", "--quiet", "-b", "change")
        project.edit_params(lambda params: params["train"].update(hist_gradient_boosting=RECIPE))
        project.repro()
        project.commit("A slower learner")
        project.champion("register")

    built_once(shared / "slower-learner.done", build)
    return Project(folder)


@pytest.fixture
def change(slower_learner: Project, tmp_path: Path) -> Project:
    return slower_learner.copy_to(tmp_path / "project")


def cells(report: str, name: str) -> list[str]:
    """The cells of the first row of a table that begins with this name."""
    line = next(line for line in report.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def report_on(project: Project) -> str:
    return html.unescape(project.champion("report", "--base", "main").stdout)


def lose(project: Project, model: str) -> Path:
    """Take the base's file of this name out of DVC's cache."""
    lock = project.run("git", "show", "main:dvc.lock").stdout
    md5 = re.search(rf"path: {model}\n\s+hash: md5\n\s+md5: (\w+)", lock)
    assert md5 is not None
    kept = project.folder / ".dvc/cache/files/md5" / md5[1][:2] / md5[1][2:]
    kept.unlink()
    return kept


def test_the_report_shows_the_interval_that_the_challenge_shows(change: Project) -> None:
    report = report_on(change)
    challenge = json.loads(change.champion("challenge", "--json", check=False).stdout)["comparison"]
    told = {
        name: "{difference:+.4f} ({low:+.4f} to {high:+.4f})".format(**challenge[name]) for name in ("gain", "brier")
    }
    assert cells(report, "As a challenge")[2] == (
        f"ROC AUC {told['gain']}, `brier` {told['brier']} on the same {challenge['rows']:,} test rows"
    )
    assert cells(report, "ROC AUC")[3] == told["gain"]
    assert cells(report, "`brier`")[3] == told["brier"]


def test_what_a_challenge_calls_surely_worse_is_not_within_noise(change: Project) -> None:
    report = report_on(change)
    lost = change.champion("challenge", check=False).stderr
    assert "its Brier score is worse: the 95% interval of the difference begins at +0.0" in lost
    before, after = (
        list(map(float, re.findall(r"\d\.\d+", cell)))
        for cell in cells(report, "Brier skill against the rate known before")[1:3]
    )
    assert before[1] <= after[0] <= before[2], "its own intervals cannot tell"
    assert cells(report, "Brier skill against the rate known before")[4] == "▼ worse"
    assert cells(report, "`brier`")[4] == "▼ worse"
    assert cells(report, "As a challenge")[1] == "▼"
    assert "worse than `main`" in report.splitlines()[0]


def test_without_the_models_of_the_base_the_report_says_that_it_cannot_pair(change: Project) -> None:
    lose(change, "models/rehearsed.skops")
    report = report_on(change)
    assert "cannot pair the models: <code>models/rehearsed.skops of main is not in DVC's cache" in report
    assert cells(report, "Brier skill against the rate known before")[4] == "➖ not paired"
    assert "within noise" not in report
    assert "not told apart from `main` without pairs" in report.splitlines()[0]


def test_a_corrupt_copy_in_the_cache_is_not_paired(change: Project) -> None:
    kept = lose(change, "models/rehearsed.skops")
    shutil.copy(change.folder / "models/rehearsed.skops", kept)
    assert "cannot pair the models: <code>models/rehearsed.skops of main is not in DVC's cache" in report_on(change)


def test_a_pull_gets_the_models_of_the_base(change: Project, tmp_path: Path) -> None:
    change.run("dvc", "remote", "add", "--default", "folder", str(tmp_path / "remote"))
    shutil.copytree(change.folder / ".dvc/cache/files", tmp_path / "remote/files")
    kept = lose(change, "models/rehearsed.skops")
    change.champion("pull", "--base", "main")
    assert kept.is_file()
    assert "cannot pair" not in report_on(change)


def test_a_remote_without_the_models_of_the_base_is_a_warning_where_files_may_be_missing(
    change: Project, tmp_path: Path
) -> None:
    change.run("dvc", "remote", "add", "--default", "folder", str(tmp_path / "remote"))
    change.run("dvc", "push")
    kept = lose(change, "models/rehearsed.skops")
    sentence = "does not have models/rehearsed.skops of main. `champion push` there sends it"
    refused = change.champion("pull", "--base", "main", check=False)
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert (
        f"warning: {tmp_path / 'remote'} {sentence}"
        in change.champion("pull", "--base", "main", "--allow-missing").stderr
    )
    assert not kept.exists()
