"""The committed dvc.lock and metrics can be reproduced elsewhere, bit for bit; if they are stale, a message says so."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from champion.core.files import sha256_of
from champion.model.model_file import load, save
from support.project import Project

ONE_THREAD_FAR_EAST = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "PYTHONHASHSEED": "1",
    "TZ": "Pacific/Kiritimati",
    "LC_ALL": "C",
}
TWO_THREADS_FAR_WEST = {
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_NUM_THREADS": "2",
    "POLARS_MAX_THREADS": "2",
    "PYTHONHASHSEED": "2",
    "TZ": "America/Los_Angeles",
    "LC_ALL": "C.UTF-8",
}


@pytest.fixture
def committed(sample_run: Project, tmp_path: Path) -> Project:
    """A copy of the run on a sample, committed and clean."""
    return sample_run.copy_to(tmp_path / "project")


def replace(path: str, old: str, new: str) -> Callable[[Project], None]:
    def edit(project: Project) -> None:
        file = project.folder / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) >= 1
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


def hand_on_another_hash(project: Project) -> None:
    """Edit dvc.lock by hand, so that train seems to have read other rows than prepare left."""
    yaml = YAML()
    lock = yaml.load(project.folder / "dvc.lock")
    dep = next(dep for dep in lock["stages"]["train"]["deps"] if dep["path"] == "data/prepared/at_split")
    dep["md5"] = "0" * 32 + ".dir"
    yaml.dump(lock, project.folder / "dvc.lock")


def remove_from_lock(project: Project) -> None:
    yaml = YAML()
    lock = yaml.load(project.folder / "dvc.lock")
    del lock["stages"]["validate"]
    yaml.dump(lock, project.folder / "dvc.lock")


STALE: dict[str, tuple[Callable[[Project], None], str]] = {
    "a param": (
        replace("params.yaml", "  test: 12", "  test: 6"),
        "stage ingest: the parameter split is modified",
    ),
    "a module": (
        replace("src/champion/pipeline/train/search.py", "import numpy as np", "import numpy as np  # edited"),
        "stage train: src/champion/pipeline/train is modified",
    ),
    "a command": (
        replace("dvc.yaml", "python -m champion.pipeline.evaluate", "python -O -m champion.pipeline.evaluate"),
        "stage evaluate: changed command",
    ),
    "the environment": (
        lambda project: (
            (project.folder / "requirements/runtime.txt").write_text("numpy==1\n", encoding="utf-8") and None
        ),
        "stage ingest: requirements/runtime.txt is modified",
    ),
    "a metrics file": (
        replace("metrics/evaluation.json", '"roc_auc": 0.', '"roc_auc": 1.'),
        "stage evaluate: metrics/evaluation.json is modified",
    ),
    "a stage that is not in the lock": (remove_from_lock, "stage validate: it is not in dvc.lock"),
    "a hash edited by hand": (
        hand_on_another_hash,
        "stage train: it read another data/prepared/at_split than the one that stage prepare wrote",
    ),
    "no lock": (lambda project: (project.folder / "dvc.lock").unlink(), "dvc.lock is not committed"),
}


def test_a_clean_project_passes_the_fast_check(sample_run: Project) -> None:
    assert "dvc.lock is up to date with HEAD" in sample_run.champion("reproduce", "--fast").stdout


@pytest.mark.parametrize("edited", STALE)
def test_the_fast_check_names_what_is_stale_and_why(committed: Project, edited: str) -> None:
    edit, reason = STALE[edited]
    edit(committed)
    committed.commit("Forget to run dvc repro")
    result = committed.champion("reproduce", "--fast", check=False)
    assert result.returncode == 1
    assert reason in result.stderr


def test_the_fast_check_judges_head_not_the_working_tree(committed: Project) -> None:
    STALE["a param"][0](committed)
    assert committed.champion("reproduce", "--fast", check=False).returncode == 0


@pytest.mark.sweep
def test_a_tampered_output_that_dvc_blessed_is_the_one_output_that_differs(small: Project) -> None:
    # The message names the last output of the last stage, so all outputs before it were the same.
    last = list(YAML(typ="safe").load(small.folder / "dvc.lock")["stages"]["evaluate"]["outs"])[-1]["path"]
    report = small.folder / last
    report.write_bytes(report.read_bytes() + b"It is the best.\n")
    small.run("dvc", "commit", "--force")
    small.commit("Look better")
    assert small.champion("reproduce", "--fast", check=False).returncode == 0
    result = small.champion("reproduce", check=False, environment=TWO_THREADS_FAR_WEST, warm_stages=True)
    assert result.returncode == 1
    assert f"not reproduced: stage evaluate: {last} has the md5" in result.stderr


@pytest.mark.sweep
def test_a_version_of_another_date_is_made_again_elsewhere_from_the_commit_it_was_trained_on(
    small: Project, tmp_path: Path
) -> None:
    small.champion("as-of", "2022-06-01")
    small.repro()
    assert "uncommitted change" not in small.champion("gate", check=False).stderr
    assert "registered" in small.champion("register").stdout
    small.run("git", "restore", ".")
    small.edit_params(lambda params: params["train"]["hist_gradient_boosting"].update(max_iter=6))
    small.commit("Another model")
    elsewhere = tmp_path / "another pläce"
    elsewhere.mkdir()
    there = ONE_THREAD_FAR_EAST | {"TMPDIR": str(elsewhere)}
    told = small.run("champion", "reproduce", "v1", environment=there).stdout
    assert told.endswith("v1 was reproduced: every output is bit for bit as registered\n")


@pytest.mark.sweep
def test_a_version_with_a_model_that_its_commit_does_not_give_is_not_reproduced(small: Project) -> None:
    file = small.folder / "models/rehearsed.skops"
    model = load(file)
    before = sha256_of(file)
    save(dataclasses.replace(model, manifest=dataclasses.replace(model.manifest, base_rate=0.5)), file)
    gates = small.folder / "metrics/gates.json"
    gates.write_text(gates.read_text(encoding="utf-8").replace(before, sha256_of(file)), encoding="utf-8")
    small.run("dvc", "commit", "--force")
    small.commit("A base rate that no row gives")
    small.champion("register")
    result = small.champion("reproduce", "v1", check=False, warm_stages=True)
    assert result.returncode == 1
    assert "error: not reproduced: models/rehearsed.skops has the sha256" in result.stderr
