"""Other tables than the loans, described only in params.yaml, without any code for them."""

import json
from datetime import date
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from ruamel.yaml import YAML

from champion.core.metrics_file import read_metrics
from support.project import REPOSITORY, Project
from support.refusals import run_stage

# Great Expectations imports what is about to be removed elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

MODEL = {
    "estimator": "hist_gradient_boosting",
    "hist_gradient_boosting": {"max_iter": 20},
    "search": {"method": "none", "folds": 3},
}
EVALUATE = {"bootstrap_samples": 100, "importance_rows": 500, "importance_repeats": 1, "segment_min_rows": 20}
UNDATED: dict[str, Any] = {"as_of": None, "window_months": None}
STRATIFIED = {"strategy": "stratified", "test_share": 0.25}
OPEN_CONTRACT = {"rows": [100, None], "class_share": [0.05, 0.95], "leak_auc": 1.0, "columns": {}}


def describe(project: Project, **sections: Any) -> None:
    """Write a params.yaml of the model above and these sections."""
    common = {"train": MODEL, "evaluate": EVALUATE, "gates": {"roc_auc": {"min": 0.5}}, "contract": OPEN_CONTRACT}
    YAML().dump(common | sections, project.folder / "params.yaml")


def metrics(project: Project) -> dict[str, Any]:
    return read_metrics(project.folder / "metrics/evaluation.json")


def schema(project: Project) -> dict[str, Any]:
    return dict(json.loads((project.folder / "data/prepared/schema.json").read_text(encoding="utf-8")))


def run_stages(project: Project) -> None:
    for stage in ("ingest", "prepare", "validate", "train", "evaluate"):
        run_stage(project, stage)


def test_breast_cancer_with_a_numeric_label_and_no_date(project: Project) -> None:
    from sklearn.datasets import load_breast_cancer

    table = pl.from_pandas(load_breast_cancer(as_frame=True).frame).rename({"target": "benign"})
    table.write_csv(project.folder / "data/source/breast_cancer.csv")
    numbers: dict[str, Any] = {name: {"type": "number"} for name in table.columns if name != "benign"}
    describe(
        project,
        **UNDATED,
        ingest={"source": "file", "path": "breast_cancer.csv"},
        columns=numbers | {"benign": {"type": "integer", "role": "label"}},
        label={"kind": "value", "positive": [1]},
        split=STRATIFIED,
    )
    run_stages(project)
    found, sides = metrics(project), schema(project)
    assert sides["train"]["rows"] + sides["test"]["rows"] == table.height
    assert found["base_rate"] == pytest.approx(table["benign"].mean(), abs=0.01)
    assert found["roc_auc"] > 0.95
    assert found["brier_skill"] > 0.5
    [verdict] = json.loads((project.folder / "metrics/gates.json").read_text(encoding="utf-8"))["verdicts"]
    assert verdict["passed"] is True


def test_penguins_with_a_text_label_a_date_and_names_with_spaces(project: Project) -> None:
    source = Path(str(distribution("palmerpenguins").locate_file("palmerpenguins/data/penguins-raw.csv")))
    (project.folder / "data/source/penguins-raw.csv").write_bytes(source.read_bytes())
    ignored = {"type": "category", "role": "ignore"}
    columns: dict[str, Any] = {
        "studyName": {"type": "category"},
        "Sample Number": {"type": "integer", "role": "ignore"},
        "Species": {"type": "category"},
        "Region": ignored,
        "Island": {"type": "category"},
        "Stage": ignored,
        "Individual ID": ignored,
        "Clutch Completion": {"type": "boolean"},
        "Date Egg": {"type": "date", "role": "date"},
        "Culmen Length (mm)": {"type": "number"},
        "Culmen Depth (mm)": {"type": "number"},
        "Flipper Length (mm)": {"type": "integer"},
        "Body Mass (g)": {"type": "integer", "range": [2000, 8000]},
        "Sex": {"type": "category", "role": "label"},
        "Delta 15 N (o/oo)": {"type": "number"},
        "Delta 13 C (o/oo)": {"type": "number"},
        "Comments": ignored,
    }
    may_miss = [*(name for name in columns if name.endswith(("(mm)", "(g)", "(o/oo)"))), "Sex"]
    describe(
        project,
        as_of="2010-01-01",
        window_months=36,
        ingest={"source": "file", "path": "penguins-raw.csv"},
        columns=columns,
        label={"kind": "value", "positive": ["FEMALE"]},
        split={"strategy": "out_of_time", "test_months": 12},
        contract=OPEN_CONTRACT | {"columns": {name: {"max_missing": 0.1} for name in may_miss}},
        evaluate=EVALUATE | {"segments": ["Species", "Clutch Completion"]},
    )
    run_stages(project)
    train, test = (pl.read_parquet(project.folder / f"data/prepared/{name}.parquet") for name in ("train", "test"))
    assert train["Date Egg"].max() < date(2009, 1, 1) <= test["Date Egg"].min()
    assert train.height + test.height == 344 - 11
    # The last study is only in the test split; for the boosting, its name is missing.
    assert set(test["studyName"]) - set(train["studyName"]) == {"PAL0910"}
    assert train["Delta 15 N (o/oo)"].null_count() > 0
    found = metrics(project)
    assert found["base_rate"] == pytest.approx((test["target"] == 1).mean(), abs=1e-6)
    assert found["roc_auc"] > 0.85
    assert found["brier_skill"] > 0.2


def thousand_rows() -> pl.DataFrame:
    """Two classes that one number separates, and a category whose last values are in no training row."""
    random = np.random.default_rng(0)
    score = random.normal(size=1000)
    days = pl.date_range(date(2020, 1, 1), date(2022, 9, 26), eager=True)
    return pl.DataFrame(
        {
            "day": days,
            "score": [None if random.random() < 0.1 else value for value in score],
            "colour": ["red", "green", "blue", None] * 200 + ["violet", "ultraviolet"] * 100,
            "outcome": score + random.normal(size=1000) > 0.5,
        }
    )


def test_a_thousand_rows_with_unseen_categories_and_any_kind_of_label(project: Project, tmp_path: Path) -> None:
    won = pl.when("outcome").then(pl.lit("won")).otherwise(pl.lit("lost"))
    flags, words = project, project.copy_to(tmp_path / "words")
    thousand_rows().write_parquet(flags.folder / "data/source/rows.parquet")
    thousand_rows().with_columns(outcome=won).write_csv(words.folder / "data/source/rows.csv")
    for copy, file, label_type, positive in (
        (flags, "rows.parquet", "boolean", True),
        (words, "rows.csv", "category", "won"),
    ):
        describe(
            copy,
            as_of="2022-09-27",
            window_months=33,
            ingest={"source": "file", "path": file},
            columns={
                "day": {"type": "date", "role": "date"},
                "score": {"type": "number"},
                "colour": {"type": "category"},
                "outcome": {"type": label_type, "role": "label"},
            },
            label={"kind": "value", "positive": [positive]},
            split={"strategy": "out_of_time", "test_months": 7},
            contract=OPEN_CONTRACT | {"columns": {"score": {"max_missing": 0.2}, "colour": {"max_missing": 0.3}}},
            evaluate=EVALUATE | {"segments": ["colour"]},
        )
    for copy in (flags, words):
        run_stages(copy)
    train, test = (pl.read_parquet(flags.folder / f"data/prepared/{name}.parquet") for name in ("train", "test"))
    assert set(test["colour"]) - set(train["colour"]) == {"violet", "ultraviolet"}
    assert metrics(flags)["rows"] == test.height
    assert metrics(flags)["roc_auc"] > 0.75
    # The same table in other formats.
    assert metrics(words) == metrics(flags)


def test_a_million_rows_are_ingested_and_prepared(project: Project) -> None:
    random, rows = np.random.default_rng(0), 1_000_000
    table = pl.DataFrame(
        {
            "key": np.arange(rows),
            "amount": random.normal(size=rows).round(4),
            "kind": random.choice(["a", "b", "c"], rows),
            "outcome": random.integers(0, 2, rows),
        }
    )
    table.write_parquet(project.folder / "data/source/rows.parquet")
    describe(
        project,
        **UNDATED,
        ingest={"source": "file", "path": "rows.parquet"},
        columns={
            "key": {"type": "integer", "role": "id"},
            "amount": {"type": "number", "range": [-3, 3]},
            "kind": {"type": "category", "values": ["a", "b"]},
            "outcome": {"type": "integer", "role": "label"},
        },
        label={"kind": "value", "positive": [1]},
        split=STRATIFIED,
    )
    run_stage(project, "ingest")
    run_stage(project, "prepare")
    train, test = (pl.read_parquet(project.folder / f"data/prepared/{name}.parquet") for name in ("train", "test"))
    assert (train.height, test.height) == (750_000, 250_000)
    assert sorted([*train["key"], *test["key"]]) == list(range(rows))
    whole = pl.concat([train, test])
    assert whole["kind"].null_count() == (table["kind"] == "c").sum()
    assert whole["amount"].null_count() == (table["amount"].abs() > 3).sum()
    assert whole["target"].mean() == table["outcome"].mean()


def test_the_code_knows_no_column_of_the_loans() -> None:
    names = list(YAML(typ="safe").load(REPOSITORY / "params.yaml")["columns"])
    for path in (REPOSITORY / "src/champion").rglob("*.py"):
        # GitHub's API has a "state" too.
        if path.name not in ("loans.py", "comment.py"):
            text = path.read_text(encoding="utf-8")
            assert [name for name in names if f'"{name}"' in text] == [], path
