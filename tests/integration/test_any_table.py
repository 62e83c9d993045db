"""Other tables than the loans, described only in params.yaml, without any code for them."""

import json
from datetime import date, timedelta
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from ruamel.yaml import YAML

from champion.core.metrics_file import read_metrics
from champion.model.model_file import load
from support.project import EXAMPLE, REPOSITORY, Project
from support.refusals import run_stage, sentence

# Great Expectations imports what is about to be removed elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

MODEL = {
    "estimator": "hist_gradient_boosting",
    "hist_gradient_boosting": {"max_iter": 20},
    "search": {"method": "none"},
}
EVALUATE = {"bootstrap_samples": 100, "importance_rows": 500, "importance_repeats": 1, "segment_min_rows": 20}
UNDATED: dict[str, Any] = {"as_of": None, "window": None, "split": {"test_share": 0.25}}
OPEN_CONTRACT = {"rows": [100, None], "class_share": [0.05, 0.95], "leak_auc": 1.0, "columns": {}}


def describe(project: Project, **sections: Any) -> None:
    """Write a params.yaml of the model above and these sections."""
    common = {"train": MODEL, "evaluate": EVALUATE, "gates": {"roc_auc": {"min": 0.5}}, "contract": OPEN_CONTRACT}
    common |= {"decision": {"share": 0.1}, "prepare": {"drop_duplicates": False}}
    YAML().dump(common | sections, project.folder / "params.yaml")


def metrics(project: Project) -> dict[str, Any]:
    return read_metrics(project.folder / "metrics/evaluation.json")


def part(project: Project, name: str) -> pl.DataFrame:
    return pl.read_parquet(project.folder / f"data/prepared/{name}.parquet")


def run_stages(project: Project) -> str:
    """Run all stages, and give the model card."""
    for stage in ("ingest", "prepare", "validate", "train", "refit", "rehearse", "package", "evaluate", "export"):
        run_stage(project, stage)
    return (project.folder / "models/model_card.md").read_text(encoding="utf-8")


@pytest.mark.sweep
def test_breast_cancer_with_a_numeric_label_and_no_date(project: Project) -> None:
    from sklearn.datasets import load_breast_cancer

    table = pl.from_pandas(load_breast_cancer(as_frame=True).frame)
    table.write_csv(project.folder / "data/source/breast_cancer.csv")
    numbers: dict[str, Any] = {name: {"type": "number"} for name in table.columns if name != "target"}
    describe(
        project,
        **UNDATED,
        ingest={"source": "file", "path": "breast_cancer.csv"},
        columns=numbers | {"target": {"type": "integer", "role": "label"}},
        label={"kind": "value", "positive": [1]},
    )
    card = run_stages(project)
    found, train, test = metrics(project), part(project, "at_split/labelled"), part(project, "test")
    assert train.height + test.height == table.height
    assert found["base_rate"] == pytest.approx(test["(target)"].mean(), abs=1e-6)
    # Without dates, the delivered model is the judged one.
    judged, delivered = (project.folder / f"models/{name}.skops" for name in ("rehearsed", "model"))
    assert judged.read_bytes() == delivered.read_bytes()
    assert "The table has no dates, so it cannot show how a model does on later rows." in card
    assert json.loads((project.folder / "metrics/rehearsals.json").read_text()) == {"rehearsals": []}
    assert found["roc_auc"] > 0.95
    assert found["brier_skill"] > 0.5
    [verdict] = json.loads((project.folder / "metrics/gates.json").read_text(encoding="utf-8"))["verdicts"]
    assert verdict["passed"] is True


@pytest.mark.sweep
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
        window=36,
        ingest={"source": "file", "path": "penguins-raw.csv"},
        columns=columns,
        label={"kind": "value", "positive": ["FEMALE"]},
        split={"test": 12},
        contract=OPEN_CONTRACT | {"columns": {name: {"max_missing": 0.1} for name in may_miss}},
        evaluate=EVALUATE | {"segments": ["Species", "Clutch Completion"]},
    )
    # A sex is missing, and nobody knew then which.
    assert "One thing looks further" in run_stages(project)
    train, test = part(project, "at_split/labelled"), part(project, "test")
    assert train["Date Egg"].max() < date(2009, 1, 1) <= test["Date Egg"].min()
    assert train.height + test.height == 344 - 11
    # The last study is only in the test split; for the boosting, its name is missing.
    assert set(test["studyName"]) - set(train["studyName"]) == {"PAL0910"}
    assert train["Delta 15 N (o/oo)"].null_count() > 0
    found = metrics(project)
    assert found["base_rate"] == pytest.approx((test["(target)"] == 1).mean(), abs=1e-6)
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
            window=33,
            ingest={"source": "file", "path": file},
            columns={
                "day": {"type": "date", "role": "date"},
                "score": {"type": "number"},
                "colour": {"type": "category"},
                "outcome": {"type": label_type, "role": "label"},
            },
            label={"kind": "value", "positive": [positive]},
            split={"test": 7},
            contract=OPEN_CONTRACT | {"columns": {"score": {"max_missing": 0.2}, "colour": {"max_missing": 0.3}}},
            evaluate=EVALUATE | {"segments": ["colour"]},
        )
    for copy in (flags, words):
        run_stages(copy)
    train, test = part(flags, "at_split/labelled"), part(flags, "test")
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
    )
    run_stage(project, "ingest")
    run_stage(project, "prepare")
    train, test = part(project, "at_split/labelled").drop("(fold)"), part(project, "test")
    assert test.height == pytest.approx(250_000, rel=0.01)
    whole = pl.concat([train, test])
    assert sorted(whole["key"]) == list(range(rows))
    assert whole["kind"].null_count() == (table["kind"] == "c").sum()
    assert whole["amount"].null_count() == (table["amount"].abs() > 3).sum()
    assert whole["(target)"].mean() == table["outcome"].mean()


def visits(count: int, years: int) -> pl.DataFrame:
    """Visits on the days of that many years before 2022, of shops that many of them share."""
    random = np.random.default_rng(count)
    score = random.normal(size=count)
    first = date(2022 - years, 1, 1)
    shop = random.choice([f"shop {number}" for number in range(40)], count)
    return pl.DataFrame(
        {
            "visit": range(count),
            "day": [first + timedelta(days=int(day)) for day in np.sort(random.integers(0, 365 * years, count))],
            "shop": pl.Series(shop).to_frame("shop").select(pl.when(pl.col("shop") != "shop 0").then("shop"))["shop"],
            "area": random.choice(["north", "south"], count),
            "score": score,
            "outcome": (score + random.normal(size=count) > 0.5).astype(int),
        }
    )


def describe_visits(project: Project, rows: pl.DataFrame, **sections: Any) -> None:
    """Each visit's outcome is known 3 months after it. The judged model is made on 2021-07-01."""
    rows.write_parquet(project.folder / "data/source/rows.parquet")
    common: dict[str, Any] = {
        "as_of": "2022-01-01",
        "window": "400d",
        "split": {"test": 3},
        "ingest": {"source": "file", "path": "rows.parquet"},
        "columns": {
            "visit": {"type": "integer", "role": "id"},
            "day": {"type": "date", "role": "date"},
            "shop": {"type": "category", "role": "group"},
            "area": {"type": "category", "role": "segment"},
            "score": {"type": "number"},
            "outcome": {"type": "integer", "role": "label"},
        },
        "label": {"kind": "value", "positive": [1], "horizon": 3},
        "contract": OPEN_CONTRACT | {"columns": {"shop": {"max_missing": 0.1}}},
        "evaluate": EVALUATE | {"segments": ["area"]},
    }
    describe(project, **common | sections)


@pytest.mark.parametrize(
    ("years", "said"),
    [
        (0.9, "There is no rehearsal before, too few to say"),
        (1.2, "There is only 1 rehearsal before, too few to say"),
        (3, "In 4 rehearsals before, the recipe reached"),
    ],
)
def test_the_card_says_how_many_rehearsals_the_history_allowed(project: Project, years: float, said: str) -> None:
    rows = visits(3000, 3)
    describe_visits(project, rows.filter(pl.col("day") >= date(2022, 1, 1) - timedelta(days=round(365 * years))))
    card = run_stages(project)
    assert said in card
    assert "The intervals resample whole groups (shop): the rows are worth" in card
    assert "worst segment is `area`" in card


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("sections", "stage", "says"),
    [
        ({"train": MODEL | {"calibration": "sigmoid"}}, "train", "`train.calibration`: the history is too short to re"),
        (
            {"train": MODEL | {"search": {"method": "grid", "grid": {"max_iter": [5, 10]}}}},
            "train",
            "`train.search`: the history is too short to rehearse, so nothing can choose",
        ),
        ({"decision": {"maximise": "f1"}}, "package", "`decision`: the history is too short to rehearse, so no share"),
        ({"decision": {"costs": {"false_positive": 1}}}, "package", "`decision`: the history is too short to rehearse"),
    ],
)
def test_what_needs_a_rehearsal_and_has_none_is_a_sentence(
    project: Project, sections: dict[str, Any], stage: str, says: str
) -> None:
    describe_visits(project, visits(3000, 3).filter(pl.col("day") > date(2021, 1, 9)), **sections)
    for before in ("ingest", "prepare", "validate", "train", "refit"):
        if before == stage:
            break
        run_stage(project, before)
    assert says in sentence(project, stage)


def test_without_newest_rows_only_a_probability_can_decide(project: Project) -> None:
    describe_visits(project, visits(3000, 3).filter(pl.col("day") < date(2021, 10, 1)))
    for stage in ("ingest", "prepare", "validate", "train", "refit", "rehearse"):
        run_stage(project, stage)
    assert (
        "`decision`: no row is new at a model's date (without dates: in a rehearsal), so there is no share of them. "
        "Give a `probability`" in sentence(project, "package")
    )
    params = YAML().load(project.folder / "params.yaml")
    YAML().dump(params | {"decision": {"probability": 0.5}}, project.folder / "params.yaml")
    run_stage(project, "package")
    run_stage(project, "evaluate")
    assert metrics(project)["agreement_spearman"] is None


def test_undated_groups_stand_on_one_side_and_calibrated_natives_with_costs_work(project: Project) -> None:
    rows = visits(3000, 3).drop("day")
    boosting = {"native_categories": True, "calibration": "isotonic"}
    columns = {
        "visit": {"type": "integer", "role": "id"},
        "shop": {"type": "category", "role": "group"},
        "area": {"type": "category", "role": "segment", "feature": True},
        "score": {"type": "number"},
        "outcome": {"type": "integer", "role": "label"},
    }
    describe_visits(
        project,
        rows,
        **UNDATED,
        columns=columns,
        label={"kind": "value", "positive": [1]},
        train=MODEL | boosting,
        decision={"costs": {"false_positive": 1.0, "false_negative": 2.0}},
    )
    run_stages(project)
    train, test = part(project, "at_split/labelled"), part(project, "test")
    assert set(train["shop"].drop_nulls()).isdisjoint(test["shop"].drop_nulls())
    assert (
        train.filter(pl.col("shop").is_not_null()).group_by("shop").agg(pl.col("(fold)").n_unique())["(fold)"].max()
        == 1
    )
    model = load(project.folder / "models/model.skops")
    assert model.manifest.calibration is not None
    few = test.head(20)
    assert [model.predict_row(row) for row in few.iter_rows(named=True)] == model.predict(few).tolist()
    policies = json.loads((project.folder / "metrics/decision.json").read_text(encoding="utf-8"))["policies"]
    assert policies[0]["expected_cost"] < min(policy["expected_cost"] for policy in policies[1:])


def test_three_groups_without_dates_on_one_side_are_a_sentence(project: Project) -> None:
    rows = visits(300, 3).drop("day").with_columns(shop=pl.col("visit") % 3)
    columns = {
        "visit": {"type": "integer", "role": "id"},
        "shop": {"type": "integer", "role": "group"},
        "area": {"type": "category", "role": "segment"},
        "score": {"type": "number"},
        "outcome": {"type": "integer", "role": "label"},
    }
    undated = UNDATED | {"split": {"test_share": 0.001}}
    describe_visits(project, rows, **undated, columns=columns, label={"kind": "value", "positive": [1]})
    run_stage(project, "ingest")
    assert "Correct `split`, the role group (few groups can all be on one side), `label`" in sentence(
        project, "prepare"
    )


def test_a_group_may_be_named_row_number_in_a_table_without_id(project: Project) -> None:
    rows = visits(1500, 2).drop("visit").rename({"shop": "row number"})
    columns = {
        "day": {"type": "date", "role": "date"},
        "row number": {"type": "category", "role": "group"},
        "area": {"type": "category", "role": "segment"},
        "score": {"type": "number"},
        "outcome": {"type": "integer", "role": "label"},
    }
    contract = OPEN_CONTRACT | {"columns": {"row number": {"max_missing": 0.1}}}
    describe_visits(project, rows, columns=columns, contract=contract)
    assert "The intervals resample whole groups (row number)" in run_stages(project)


def test_the_code_knows_no_column_of_the_loans() -> None:
    names = list(YAML(typ="safe").load(EXAMPLE / "params.yaml")["columns"])
    for path in (REPOSITORY / "src/champion").rglob("*.py"):
        # GitHub's API and flagd's format have a "state" too.
        if path.name not in ("loans.py", "comment.py", "flags.py"):
            text = path.read_text(encoding="utf-8")
            assert [name for name in names if f'"{name}"' in text] == [], path
