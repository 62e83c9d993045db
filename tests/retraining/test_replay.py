"""The replay on the small table: it sees nothing before its day, and each policy does what its name says."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from joblib import parallel_config
from ruamel.yaml import YAML

from champion.core.errors import UserError
from champion.core.files import read_json
from champion.retraining.replay import candidate, cards, table, walk
from champion.retraining.replay.history import History, model_of
from champion.retraining.replay.walk import score_served
from champion.table.columns import TARGET
from support.project import Project
from support.small import small_table

FIRST, SHIFTED = date(2020, 7, 1), date(2021, 7, 1)
QUARTERS = [date(year, month, 1) for year in (2019, 2020, 2021) for month in (1, 4, 7, 10)][2:]
POLICIES = {
    "frozen": {"age": None, "measured": False, "challenge": "none"},
    "triggers": {"age": None, "measured": True, "challenge": "refresh"},
    "yearly": {"age": 12, "measured": False, "challenge": "superiority"},
    "quarterly": {"age": 3, "measured": False, "challenge": "none"},
}


def cases() -> pl.DataFrame:
    """The small table, where a bad case fails some days after it was opened."""
    rows = small_table()
    days = np.random.default_rng(1).integers(1, 400, rows.height)
    failed = pl.col("opened") + pl.duration(days=pl.Series(days))
    return rows.with_columns(failed=pl.when(pl.col("outcome") == "bad").then(failed)).drop("outcome", "remark")


def shift_later(rows: pl.DataFrame) -> pl.DataFrame:
    """The same table as far as anybody knew it on `SHIFTED`: all rows and failures from that day on are others."""
    later = pl.col("opened") >= SHIFTED
    failed = pl.when(pl.col("failed") < SHIFTED).then("failed").when(pl.col("case") % 2 == 0).then(pl.lit(SHIFTED))
    return rows.with_columns(
        amount=pl.when(later).then(1001 - pl.col("amount")).otherwise("amount"),
        region=pl.when(later).then(pl.lit("north")).otherwise("region"),
        failed=pl.when(later & (pl.col("case") % 3 == 0)).then("opened").otherwise(failed),
    )


def write_params(root: Path, quarters: list[date] = QUARTERS, policies: Mapping[str, Any] = POLICIES) -> None:
    params: dict[str, Any] = {
        "as_of": "2022-07-01",
        "window": 36,
        "ingest": {"source": "file", "path": "cases.csv"},
        "columns": {
            "case": {"type": "integer", "role": "id"},
            "opened": {"type": "date", "role": "date"},
            "region": {"type": "category"},
            "amount": {"type": "number"},
            "visits": {"type": "integer"},
            "member": {"type": "boolean"},
            "failed": {"type": "date", "role": "label"},
        },
        "label": {"kind": "event", "horizon": 6},
        "split": {"test": 6},
        "train": {"estimator": "hist_gradient_boosting", "hist_gradient_boosting": {"max_iter": 5}},
        "decision": {"share": 0.1},
        "evaluate": {"bootstrap_samples": 100},
        "gates": {"roc_auc": {"min": 0.5}},
        "challenge": {"max_loss": 0.5},
        "monitoring": {"window": "90d", "min_rows": 20},
    }
    replay = {
        "until": "2022-07-01",
        "first": str(FIRST),
        "quarters": [str(day) for day in quarters],
        "approval_rate": 0.9,
        "samples": 100,
        "policies": dict(policies),
    }
    (root / "replay").mkdir(exist_ok=True)
    for path, content in ((root / "params.yaml", params), (root / "replay/params.yaml", replay)):
        YAML().dump(content, path)


@contextmanager
def inside(root: Path) -> Iterator[None]:
    """In the folder of the replay, where its models are read anew."""
    before = Path.cwd()
    model_of.cache_clear()
    try:
        os.chdir(root / "replay")
        yield
    finally:
        os.chdir(before)
        model_of.cache_clear()


def run_replay(root: Path, rows: pl.DataFrame) -> Path:
    """Run every stage on these rows, and return the folder of the replay."""
    (root / "data/source").mkdir(parents=True)
    rows.write_csv(root / "data/source/cases.csv")
    write_params(root)
    with inside(root), pytest.MonkeyPatch.context() as patch, parallel_config("sequential"):
        table.main()
        stages: list[tuple[Callable[[], None], str]] = [(candidate.main, str(day)) for day in QUARTERS]
        for main, argument in [*stages, (cards.main, ""), *((walk.main, name) for name in POLICIES)]:
            patch.setattr("sys.argv", ["stage", argument])
            main()
    return root / "replay"


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_replay(tmp_path_factory.mktemp("replayed"), cases())


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_replay(tmp_path_factory.mktemp("shifted"), shift_later(cases()))


def trainings(folder: Path, policy: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_json(folder / f"results/trainings/{policy}.json")["trainings"]
    return found


def quarters(folder: Path, policy: str) -> pl.DataFrame:
    return pl.read_csv(folder / f"results/quarters/{policy}.csv", try_parse_dates=True)


def test_no_model_changes_with_rows_and_labels_after_its_day(replayed: Path, shifted: Path) -> None:
    same = {
        day: (replayed / f"candidates/{day}.skops").read_bytes() == (shifted / f"candidates/{day}.skops").read_bytes()
        for day in QUARTERS
    }
    assert same == {day: day <= SHIFTED for day in QUARTERS}


def test_no_promise_changes_with_rows_and_labels_after_its_day(replayed: Path, shifted: Path) -> None:
    for day in (day for day in QUARTERS if FIRST <= day <= SHIFTED):
        before, after = (read_json(folder / f"cards/{day}.json") for folder in (replayed, shifted))
        assert before | {"realised": None} == after | {"realised": None}
    # What came true of the last one is of later rows.
    assert before["realised"] != after["realised"]


@pytest.mark.parametrize("policy", POLICIES)
def test_no_decision_changes_with_rows_and_labels_after_its_day(replayed: Path, shifted: Path, policy: str) -> None:
    def known(folder: Path) -> list[dict[str, Any]]:
        checks = read_json(folder / f"checks/{policy}.json")["checks"]
        return [one for one in [*checks, *trainings(folder, policy)] if one["quarter"] <= str(SHIFTED)]

    assert known(replayed) == known(shifted)
    assert known(replayed)


@pytest.mark.parametrize("policy", POLICIES)
def test_no_result_changes_with_rows_and_labels_after_it_was_known(replayed: Path, shifted: Path, policy: str) -> None:
    # The last quarter whose labels were all known on that day begins a horizon and a quarter before it.
    is_known = pl.col("quarter") <= date(2020, 10, 1)
    before, after = (quarters(folder, policy) for folder in (replayed, shifted))
    assert before.filter(is_known).equals(after.filter(is_known))
    assert before.filter(is_known).height == 2
    assert not before.equals(after)


def test_a_version_serves_from_its_deployment_to_the_next(replayed: Path) -> None:
    for policy in POLICIES:
        serving, versions = FIRST, []
        deployed = {one["quarter"] for one in trainings(replayed, policy) if one["result"] == "deployed"}
        for day in (day for day in QUARTERS if day >= FIRST):
            serving = day if str(day) in deployed else serving
            versions.append(serving)
        assert quarters(replayed, policy)["version"].to_list() == versions


@pytest.mark.parametrize(("policy", "count"), [("frozen", 0), ("yearly", 1), ("quarterly", 5)])
def test_a_policy_of_age_trains_at_that_age(replayed: Path, policy: str, count: int) -> None:
    found = trainings(replayed, policy)
    assert [one["due"] for one in found] == [["age"]] * count


def test_a_measured_policy_trains_when_a_trigger_is_due(replayed: Path) -> None:
    checks = read_json(replayed / "checks/triggers.json")["checks"]
    due = {
        one["quarter"]: [trigger["name"] for trigger in one["triggers"] if trigger["verdict"] == "due"]
        for one in checks
    }
    found = trainings(replayed, "triggers")
    assert {one["quarter"]: one["due"] for one in found} == {day: names for day, names in due.items() if names}
    assert {name for names in due.values() for name in names} <= {"performance", "drift", "volume"}
    assert found


def test_a_refused_training_is_no_version_and_changes_nothing(replayed: Path, tmp_path: Path) -> None:
    shutil.copytree(replayed.parent, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "replay/cards").glob("*.json"):
        card = json.loads(path.read_text()) | {"failures": ["roc_auc: 0.4 is outside min 0.5"]}
        path.write_text(json.dumps(card))
    with inside(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["walk", "quarterly"])
        walk.main()
    assert {one["result"] for one in trainings(tmp_path / "replay", "quarterly")} == {"refused"}
    assert set(quarters(tmp_path / "replay", "quarterly")["version"]) == {FIRST}


def test_a_model_learns_from_every_row_known_that_day(replayed: Path) -> None:
    with inside(replayed.parent):
        rows = History.read().trained(FIRST).rows
    # The horizon before that day; the table begins within the window.
    expected = cases().filter(pl.col("opened") <= date(2020, 1, 1))
    assert rows.height == expected.height
    failed = pl.col("failed") < pl.col("opened").dt.offset_by("6mo")
    assert rows[TARGET].sum() == expected.select(failed.fill_null(False).sum()).item()


def test_the_replay_refuses_a_recipe_that_needs_other_models(replayed: Path) -> None:
    with inside(replayed.parent):
        recipe = candidate.read(candidate.TrainParams, Path("../params.yaml")).train
        with pytest.raises(UserError, match=r"Set `train.search.method` and `train.calibration` to `none`"):
            candidate.fit(recipe.model_copy(update={"calibration": "sigmoid"}), History.read(), FIRST)


@pytest.mark.sweep
def test_the_command_runs_only_what_changed_and_says_why_a_stage_failed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fork of a process with threads cannot start those of a pool.
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    cases().write_csv(project.folder / "data/source/cases.csv")
    quarters = [date(2019, 7, 1), date(2019, 10, 1), FIRST]

    def run(quarters: list[date]) -> str:
        write_params(project.folder, quarters, {"frozen": POLICIES["frozen"]})
        return project.champion("replay", "--jobs", "2", warm_stages=True).stdout

    first = run(quarters)
    assert "6 stages ran" in first
    assert "| frozen | 0 |" in first
    again = run(quarters)
    assert "nothing to run" in again
    assert "| frozen | 0 |" in again
    later = run([*quarters, date(2020, 10, 1)])
    assert [line.split()[0] for line in later.splitlines() if line.startswith("  ")] == [
        "table",
        "candidate@2020-10-01",
        "cards",
        "walk@frozen",
    ]
    project.edit_params(lambda params: params["train"].update(calibration="sigmoid"))
    failed = project.champion("replay", check=False, warm_stages=True)
    assert failed.returncode == 1
    assert "a stage of the replay failed" in failed.stderr
    assert "Set `train.search.method` and `train.calibration` to `none`" in failed.stderr


def test_the_default_rate_is_that_of_the_accepted_rows() -> None:
    target = np.array([0, 0, 1, 0, 0, 1, 0, 1, 1, 1], np.int8)
    probability = np.arange(1, 11) / 20
    found = score_served(target, probability, known_rate=0.5, approval_rate=0.8)
    assert found["accepted_rate"] == pytest.approx(3 / 8)
    assert found["brier_skill"] == pytest.approx(1 - ((target - probability) ** 2).mean() / 0.25)
