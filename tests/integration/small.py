"""A table of 1,000 rows with every type of column, the params.yaml that describes it, and ways to see it refused."""

import hashlib
import importlib
import subprocess
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from conftest import Project

ROWS = 1000
TABLE = "data/source/cases.csv"


def small_table() -> pl.DataFrame:
    """Cases of three years in order of their date, the outcome following the amount, and some values missing."""
    random = np.random.default_rng(0)
    amount = random.uniform(1, 1000, ROWS).round(2)
    bad = random.random(ROWS) < amount / 2000
    days = pl.date_range(date(2019, 1, 1), date(2021, 12, 31), eager=True).sample(ROWS, seed=0).sort()
    return pl.DataFrame(
        {
            "case": range(1, ROWS + 1),
            "opened": days,
            "region": random.choice(["north", "south", "east"], ROWS),
            "amount": amount,
            "visits": random.poisson(3, ROWS),
            "member": random.random(ROWS) < 0.5,
            "remark": [f"remark {number}" for number in range(ROWS)],
            "outcome": np.where(bad, "bad", "good"),
        }
    ).with_columns(visits=pl.when(pl.col("visits") < 6).then("visits"))


def use_small_params(project: Project) -> None:
    """Describe the small table in params.yaml, with a model that is quick to fit."""

    def edit(params: dict[str, Any]) -> None:
        params["as_of"] = "2022-07-01"
        params["window_months"] = 36
        params["ingest"] = {"source": "file", "path": "cases.csv"}
        params["columns"] = {
            "case": {"type": "integer", "role": "id"},
            "opened": {"type": "date", "role": "date"},
            "region": {"type": "category", "values": ["north", "south", "east"]},
            "amount": {"type": "number"},
            "visits": {"type": "integer", "range": [0, 50]},
            "member": {"type": "boolean"},
            "remark": {"type": "category", "role": "ignore"},
            "outcome": {"type": "category", "role": "label"},
        }
        params["label"] = {"kind": "value", "positive": ["bad"], "horizon_months": 6}
        params["contract"] = {
            "rows": [100, 2000],
            "class_share": [0.05, 0.95],
            "leak_auc": 0.9,
            "columns": {"visits": {"max_missing": 0.2}},
        }
        params["train"]["hist_gradient_boosting"] = {"max_iter": 5}
        params["train"]["search"] = {"method": "none", "folds": 2}
        params["evaluate"] = {"bootstrap_samples": 100, "importance_repeats": 1, "segments": ["region"]}

    project.edit_params(edit)


def snapshot(project: Project) -> dict[str, str]:
    """Every folder and file of the project with its SHA-256, but for git's and DVC's own bookkeeping."""
    found = {}
    for path in sorted(project.folder.rglob("*")):
        name = path.relative_to(project.folder).as_posix()
        if name.startswith((".git/", ".dvc/tmp")) or "__pycache__" in name:
            continue
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


def refusal(project: Project, *command: str, **options: Any) -> str:
    """What a command that must fail says on stderr: it exits non-zero, shows no traceback and changes no file."""
    before = snapshot(project)
    result: subprocess.CompletedProcess[str] = project.run(*command, check=False, **options)
    assert result.returncode != 0, result.stdout
    assert "Traceback" not in result.stdout + result.stderr, result.stderr
    assert snapshot(project) == before
    return result.stderr


def run_stage(project: Project, stage: str) -> None:
    """Run one stage alone in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.folder)
        importlib.import_module(f"champion.pipeline.{stage}.__main__").main()


def sentence(project: Project, stage: str, environment: Mapping[str, str] | None = None) -> str:
    """The one line with which a stage refuses its input; it changes no file. Runs in this process."""
    stage_main = importlib.import_module(f"champion.pipeline.{stage}.__main__").main
    before = snapshot(project)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.folder)
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as refused:
            stage_main()
    assert snapshot(project) == before
    return one_line(f"{refused.value}\n")


def sentence_of_process(project: Project, stage: str, hindrance: str | None = None) -> str:
    """The same from a process of its own; `hindrance` is Python that it runs first."""
    command = ["python", "-m", f"champion.pipeline.{stage}"]
    if hindrance is not None:
        command = ["python", "-c", f"{hindrance}; import os, sys; os.execvp(sys.argv[1], sys.argv[1:])", *command]
    return one_line(refusal(project, *command))


def one_line(said: str) -> str:
    """What was said, if it is one sentence on one line."""
    assert said.startswith("error: "), said
    assert said.count("\n") == 1, said
    assert said.endswith(".\n"), said
    return said
