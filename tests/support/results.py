"""Results like those of `dvc repro`, with real models of an invented table."""

import hashlib
import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from champion.core.files import sha256_of, write_json, write_parquet
from champion.core.metrics_file import lay_out_metrics
from champion.core.values import rounded
from champion.model.metrics import score_with_intervals
from champion.model.model_file import save
from champion.model.recipe import Recipe, Search
from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import judge, listed
from champion.pipeline.train.stage import train_model
from champion.table.dataset import read_split
from support.project import REPOSITORY

FEATURES = {"income": "number", "age": "number", "noise": "number", "region": "category"}
GATES = {"roc_auc": {"min": 0.55}}

PARAMS: dict[str, Any] = {
    "as_of": "2020-01-01",
    "window_months": 24,
    "ingest": {"source": "file", "path": "people.csv"},
    "columns": {
        "person": {"type": "integer", "role": "id"},
        "day": {"type": "date", "role": "date"},
        **{name: {"type": kind} for name, kind in FEATURES.items()},
        "answer": {"type": "category", "role": "label"},
    },
    "label": {"kind": "value", "positive": ["yes"]},
    "split": {"strategy": "out_of_time", "test_months": 12},
    "contract": {"rows": [10, None], "class_share": [0.0, 1.0], "leak_auc": 1.0},
    "train": {"estimator": "logistic_regression", "search": {"method": "none"}},
    "evaluate": {},
    "gates": GATES,
    "challenge": {"min_rows": 500, "samples": 200},
}


def people(rows: int, seed: int, first_id: int, first_day: date) -> pl.DataFrame:
    """Rows whose target depends on income, age and region, with noise."""
    rng = np.random.default_rng(seed)
    income, age, noise = rng.normal(size=(3, rows))
    region = rng.choice(["north", "south", "east"], rows)
    score = income - 0.7 * age + (region == "north")
    target = (rng.random(rows) < 1 / (1 + np.exp(-score))).astype(np.int8)
    days = [first_day + timedelta(days=int(day)) for day in np.sort(rng.integers(0, 365, rows))]
    values = {"person": np.arange(first_id, first_id + rows), "day": days, "income": income, "age": age, "noise": noise}
    return pl.DataFrame(values | {"region": region, "target": target})


def make_result(folder: Path, *, train_rows: pl.DataFrame, test_rows: pl.DataFrame, seed: int = 0) -> None:
    """Write the outputs that the pipeline would make from these training and test rows to `folder`."""
    prepared, metrics, model_file = folder / "data/prepared", folder / "metrics", folder / "models/model.skops"
    sides = {
        name: {
            "rows": rows.height,
            "positives": int(rows["target"].sum()),
            "first": str(rows["day"].min()),
            "last": str(rows["day"].max()),
        }
        for name, rows in (("train", train_rows), ("test", test_rows))
    }
    features = [{"name": name, "type": kind} for name, kind in FEATURES.items()]
    write_parquet(prepared / "train.parquet", train_rows)
    write_parquet(prepared / "test.parquet", test_rows)
    schema = {"as_of": "2020-01-01", "horizon_months": 0, "strategy": "out_of_time", "id": "person", "date": "day"}
    write_json(prepared / "schema.json", schema | {"target": "target", "features": features, **sides})
    train = Recipe(estimator="logistic_regression", seed=seed, search=Search(method="none", folds=2))
    model, _ = train_model(train, read_split(prepared, "train"))
    save(model, model_file)
    target = test_rows["target"].to_numpy()
    scores = rounded(score_with_intervals(target, model.predict(test_rows), model.base_rate, 100, 0))
    write_json(metrics / "evaluation.json", lay_out_metrics(scores))
    write_json(metrics / "training.json", lay_out_metrics({"rows": train_rows.height}))
    verdicts = rounded(judge(scores, {name: Gate(**bounds) for name, bounds in GATES.items()}))
    judged = [{"path": "models/model.skops", "sha256": sha256_of(model_file)}]
    write_json(metrics / "gates.json", {"models": judged, "verdicts": listed(verdicts)})
    (folder / "params.yaml").write_text(json.dumps(PARAMS))
    (folder / "requirements").mkdir()
    (folder / "requirements/runtime.txt").write_text("scikit-learn==1.9.1\n")
    (folder / "config").mkdir()
    shutil.copy2(REPOSITORY / "config/environments.yaml", folder / "config")
    write_lock(folder)


def write_lock(folder: Path) -> None:
    """The dvc.lock that says: these files are what the pipeline made of these params."""
    prepared = folder / "data/prepared"
    listing = [{"md5": _md5(file), "relpath": file.name} for file in sorted(prepared.iterdir())]
    rows = {"path": "data/prepared", "md5": hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"}  # noqa: S324
    model, training, evaluation, gates = (
        {"path": name, "md5": _md5(folder / name)}
        for name in ("models/model.skops", "metrics/training.json", "metrics/evaluation.json", "metrics/gates.json")
    )
    params = json.loads((folder / "params.yaml").read_text())

    def used(*sections: str) -> dict[str, Any]:
        return {"params.yaml": {section: params[section] for section in sections}}

    stages = {
        "prepare": {"params": used("columns", "split"), "outs": [rows]},
        "train": {"params": used("train"), "deps": [rows], "outs": [model, training]},
        "evaluate": {"params": used("evaluate", "gates"), "deps": [rows, model], "outs": [evaluation, gates]},
    }
    (folder / "dvc.lock").write_text(json.dumps({"stages": stages}))


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()  # noqa: S324


def make_results(folder: Path) -> None:
    """Results by name: `weak` was trained on few rows, `strong` on many, `same` is no better than `strong`."""
    train = people(3000, 1, 0, date(2018, 1, 1))
    test = people(3000, 2, 10_000, date(2019, 1, 1))
    make_result(folder / "weak", train_rows=train.head(14), test_rows=test)
    make_result(folder / "strong", train_rows=train, test_rows=test)
    make_result(folder / "same", train_rows=train.tail(2500), test_rows=test)
    make_result(folder / "overlapping", train_rows=train.tail(2400), test_rows=pl.concat([train.head(400), test]))
