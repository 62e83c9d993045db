"""Results of the pipeline's stages on an invented table, without DVC."""

import contextlib
import hashlib
import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from champion.core.files import write_json, write_parquet
from champion.core.layout import FITTED, REFITTED, SCHEMA, TRAINED
from champion.core.yaml_text import parse_yaml
from champion.model.calibration import Calibration
from champion.pipeline.evaluate.__main__ import main as evaluate
from champion.pipeline.export.__main__ import main as export
from champion.pipeline.package.__main__ import main as package
from champion.pipeline.prepare.__main__ import main as prepare
from champion.pipeline.refit.__main__ import main as refit
from champion.pipeline.rehearse.__main__ import main as rehearse
from champion.pipeline.train.__main__ import main as train
from support.project import EXAMPLE, REPOSITORY

FEATURES = {"income": "number", "age": "number", "noise": "number", "region": "category"}

# The split date is 2018-07-01: the judged model learns from rows of 2015 to 2017, the delivered one from mid-2016 on.
PARAMS: dict[str, Any] = {
    "as_of": "2020-01-01",
    "window": 36,
    "ingest": {"source": "file", "path": "people.csv"},
    "columns": {
        "person": {"type": "integer", "role": "id"},
        "day": {"type": "date", "role": "date"},
        **{name: {"type": kind} for name, kind in FEATURES.items()},
        "answer": {"type": "category", "role": "label"},
    },
    "label": {"kind": "value", "positive": ["yes"], "horizon": 6},
    "split": {"test": 12},
    "prepare": {"drop_duplicates": False},
    "contract": {"rows": [10, None], "class_share": [0.0, 1.0], "leak_auc": 1.0},
    "train": {"estimator": "logistic_regression", "search": {"method": "none"}},
    "decision": {"share": 0.5},
    "evaluate": {"bootstrap_samples": 100, "importance_rows": 10, "importance_repeats": 1},
    "gates": {"roc_auc": {"min": 0.55}},
    "challenge": {"samples": 200},
}


# The same table without its dates.
UNDATED: dict[str, Any] = {
    "as_of": None,
    "window": None,
    "columns": {name: column for name, column in PARAMS["columns"].items() if name != "day"},
    "label": {"kind": "value", "positive": ["yes"]},
    "split": {"test_share": 0.5},
}


def people(rows: int, seed: int, first_id: int, first_day: date) -> pl.DataFrame:
    """Rows of one year whose answer depends on income, age and region, with noise."""
    rng = np.random.default_rng(seed)
    income, age, noise = rng.normal(size=(3, rows))
    region = rng.choice(["north", "south", "east"], rows)
    score = income - 0.7 * age + (region == "north")
    answer = np.where(rng.random(rows) < 1 / (1 + np.exp(-score)), "yes", "no")
    days = [first_day + timedelta(days=int(day)) for day in np.sort(rng.integers(0, 365, rows))]
    values = {"person": np.arange(first_id, first_id + rows), "day": days, "income": income, "age": age, "noise": noise}
    return pl.DataFrame(values | {"region": region, "answer": answer})


def make_result(folder: Path, table: pl.DataFrame, **params: Any) -> None:
    """Write to `folder` what the pipeline makes of this table, with these params."""
    write_parquet(folder / "data/raw.parquet", table)
    write_json(folder / "data/excluded.json", {"rows": {}, "rules": {}})
    # The contract is not checked, which would take seconds.
    write_json(folder / "data/validated.json", {"data/raw.parquet": "not checked"})
    write_json(folder / "data/unconfirmed.json", {"limits": [], "breaches": []})
    write_json(folder / "metrics/validation.json", {"tables": []})
    (folder / "params.yaml").write_text(json.dumps(PARAMS | params))
    (folder / "requirements").mkdir()
    (folder / "requirements/runtime.txt").write_text("scikit-learn==1.9.1\n")
    shutil.copytree(EXAMPLE / "config", folder / "config")
    shutil.copy2(REPOSITORY / "dvc.yaml", folder)
    shutil.copytree(REPOSITORY / ".dvc/plots", folder / ".dvc/plots")
    with contextlib.chdir(folder):
        for stage in (prepare, train, refit, rehearse, package, evaluate, export):
            stage()
    write_lock(folder)


def write_lock(folder: Path) -> None:
    """The dvc.lock that says: these files are what the pipeline of dvc.yaml made of these params."""
    pipeline = parse_yaml((folder / "dvc.yaml").read_text())["stages"]
    params = json.loads((folder / "params.yaml").read_text())
    listed = {
        name: [_path(out) for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
        for name, stage in pipeline.items()
    }
    made = {path: {"path": path, "md5": _md5(folder / path)} for outs in listed.values() for path in outs}
    stages = {
        name: {
            "params": {"params.yaml": {section: params.get(section) for section in stage.get("params", [])}},
            "deps": [made[path] for path in stage["deps"] if path in made],
            "outs": [made[path] for path in listed[name]],
        }
        for name, stage in pipeline.items()
    }
    (folder / "dvc.lock").write_text(json.dumps({"stages": stages}))


def _path(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))


def _md5(path: Path) -> str:
    if path.is_dir():
        listing = [{"md5": _md5(file), "relpath": file.name} for file in sorted(path.iterdir())]
        return hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"  # noqa: S324
    return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324


def recalibrate(folder: Path, slope: float) -> None:
    """Let both models of the result multiply their log odds by the slope, as if training had found that."""
    package_again(folder, calibration=Calibration("sigmoid", (slope,), (0.0,)).describe())


def package_again(folder: Path, exclusions: dict[str, Any] | None = None, **facts: Any) -> None:
    """Package and export the result's models again, with these facts of both and these rules for excluded rows."""
    with contextlib.chdir(folder):
        for path in (TRAINED / FITTED, REFITTED / FITTED):
            write_json(path, json.loads(path.read_text()) | facts)
        if exclusions is not None:
            write_json(SCHEMA, json.loads(SCHEMA.read_text()) | {"exclusions": exclusions})
        for stage in (package, evaluate, export):
            stage()


def make_results(folder: Path) -> None:
    """Results by name: `weak` learned from few rows, `strong` from many, `same` is no better than `strong`.

    The recipes of these three differ in the seed. `refreshed` is `strong` a year later. `overlapping` has a longer
    test, with rows that the others learned from. `undated` has no dates.
    """
    earlier = people(2400, 3, 20_000, date(2016, 1, 1))
    learned = people(3000, 1, 0, date(2017, 1, 1))
    test = people(3000, 2, 10_000, date(2018, 7, 1))
    later = people(3000, 4, 30_000, date(2019, 7, 1))
    make_result(folder / "weak", pl.concat([learned.slice(2400, 14), test]), train=PARAMS["train"] | {"seed": 1})
    make_result(folder / "strong", pl.concat([learned, test]))
    make_result(folder / "same", pl.concat([learned.tail(2500), test]), train=PARAMS["train"] | {"seed": 2})
    make_result(folder / "refreshed", pl.concat([learned, test, later]), as_of="2021-01-01")
    make_result(folder / "undated", learned.drop("day"), **UNDATED)
    make_result(folder / "overlapping", pl.concat([earlier, learned, test]), split={"test": 24})
