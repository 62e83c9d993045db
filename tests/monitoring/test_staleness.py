"""`champion performance` and `champion should-retrain` on a project with a log and a source, and what is recorded."""

import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from champion.core.errors import NotFoundError
from champion.delivery import deployment
from champion.delivery.audit import differences
from champion.delivery.recent_performance import answer_matured, measure_recent_performance, watched_version
from champion.delivery.register import register
from champion.delivery.staleness import check_staleness
from champion.monitoring.triggers import Trigger
from champion.predictions.log import PredictionLog
from champion.registry import history
from support.answers import Said, fill_log
from support.delivery import DeliveryProject, InState
from support.project import Project
from support.results import FEATURES, people

TODAY = datetime.now(UTC).date()
# A label is known six months after its row, so these rows got theirs in the last days.
MATURED = TODAY - timedelta(days=190)


@pytest.fixture
def project(in_state: InState) -> DeliveryProject:
    """Staging serves v1, which was made on 2020-01-01. Nothing was answered."""
    project = in_state("staged")
    set_monitoring(project)
    put_source(project, [])
    return project


def set_monitoring(project: DeliveryProject, **settings: Any) -> None:
    path = project.root / "params.yaml"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"monitoring": {"min_rows": 100} | settings}))


def put_source(project: DeliveryProject, rows: list[pl.DataFrame]) -> None:
    """The source has the rows of the training, and these."""
    folder = project.root / "data/source"
    folder.mkdir(parents=True, exist_ok=True)
    pl.concat([*trained_rows(), *rows]).write_csv(folder / "people.csv")


def trained_rows() -> list[pl.DataFrame]:
    return [people(400, number, 10_000 * number, date(year, 1, 1)) for number, year in enumerate(range(2016, 2020))]


def rows_of_source(first: date, last: date) -> int:
    """How many rows of the training have these dates."""
    return pl.concat(trained_rows()).filter(pl.col("day").is_between(first, last)).height


def say(
    project: DeliveryProject,
    rows: int = 300,
    *,
    day: date = MATURED,
    complete: date | None = TODAY,
    slope: float = 1.0,
    shift: float = 0.0,
    version: str = "v1",
) -> None:
    """Add answers of that day to the log, with the probabilities of v1, and events that follow them by the slope."""
    table = people(rows, 5, 90_000, date(2021, 1, 1)).select(*FEATURES)
    table = table.with_columns(income=pl.col("income") + shift)
    probability = project.staging.load_model("v1").predict(table)
    rng = np.random.default_rng(1)
    odds = slope * np.log(probability / (1 - probability))
    happened = rng.random(rows) < 1 / (1 + np.exp(-odds))
    answers = [
        Said(day, float(one), event=day if event else None, features=features, version=version)
        for one, event, features in zip(probability, happened, table.to_dicts(), strict=True)
    ]
    fill_log("staging", answers, complete)


def check(project: DeliveryProject) -> dict[str, Trigger]:
    warnings: list[str] = []
    _, triggers = check_staleness(project.staging, warnings.append)
    assert warnings == []
    return {one.name: one for one in triggers}


def move_clock(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Let checks, and what the ledger records, be that much later."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + by

    for module in ("champion.delivery.staleness", "champion.registry.ledger"):
        monkeypatch.setattr(f"{module}.datetime", Later)


def test_only_rows_whose_label_became_known_lately_count(project: DeliveryProject) -> None:
    say(project)
    say(project, day=MATURED - timedelta(days=60))
    (found,) = measure_recent_performance(project.staging, project.staging.resolve("v1"), None, None, "log")
    assert (found.known.rows, found.estimated.rows) == (300, 0)
    assert found.known.metrics is not None
    assert 0.6 < found.known.metrics["roc_auc"] < 0.9


def test_a_label_counts_from_its_horizon_on(project: DeliveryProject) -> None:
    """Their horizon ended 17 days ago, but until then the log may lack events."""
    say(project, 120, day=TODAY - timedelta(days=200), complete=TODAY - timedelta(days=30))
    found = measure_recent_performance(project.staging, project.staging.resolve("v1"), None, None, "log")
    assert [(one.known.rows, one.estimated.rows) for one in found] == []
    fill_log("staging", [], TODAY)
    (measured,) = measure_recent_performance(project.staging, project.staging.resolve("v1"), None, None, "log")
    assert measured.known.rows == 120


def test_recent_answers_without_a_label_get_an_estimate(project: DeliveryProject) -> None:
    say(project, day=TODAY)
    (found,) = measure_recent_performance(project.staging, project.staging.resolve("v1"), None, None, "log")
    assert (found.known.rows, found.estimated.rows, found.estimated.reason) == (0, 300, None)
    printed = Project(project.root).champion("performance", "--env", "staging").stdout
    assert "v1, known: there is no row with a known label" in printed
    assert " estimated " in printed


def test_labels_that_come_late_are_counted_when_they_come(project: DeliveryProject) -> None:
    """The log knows all events only up to 100 days ago, longer than the window."""
    late = TODAY - timedelta(days=100)
    say(project, day=late - timedelta(days=190), complete=late)
    assert check(project)["performance"].verdict == "not due"


def register_other(project: DeliveryProject, **details: Any) -> None:
    """Register v2, which is v1 with these details; of its params, only those that are given differ."""
    registry = project.staging
    first = history.registration(registry.rows, "v1")
    details = dict(first.details) | details
    details["params"] = dict(first.details["params"]) | details["params"]
    with registry.ledger.appending() as session:
        session.append("register", version="v2", model_sha256=first.model_sha256, details=details)


def test_a_version_is_measured_on_the_answers_of_others_too(project: DeliveryProject) -> None:
    register_other(project)
    say(project, version="v2")
    registry = project.staging
    rows = answer_matured(registry, registry.resolve("v1"), "log", "30d")
    assert (rows.height, set(rows["version"])) == (300, {"v1"})
    (named,) = measure_recent_performance(registry, registry.resolve("v1"), None, None, "log")
    assert named.version == "v2"


def test_answers_without_a_feature_of_the_version_do_not_measure_it(project: DeliveryProject) -> None:
    features = [one for one in project.staging.resolve("v1").features if one["name"] != "age"]
    register_other(project, features=features)
    say(project, version="v2")
    registry = project.staging
    assert answer_matured(registry, registry.resolve("v1"), "log", "30d").height == 0


def test_the_window_is_of_the_days_on_which_labels_became_known(project: DeliveryProject) -> None:
    register_other(project, params={"label": {"kind": "value", "positive": ["yes"], "horizon": "180d"}})
    days = [TODAY - timedelta(days=days) for days in (210, 209, 180, 179)]
    fill_log("staging", [Said(day) for day in days], TODAY)
    registry = project.staging
    assert answer_matured(registry, registry.resolve("v2"), "log", "30d").height == 2
    assert answer_matured(registry, registry.resolve("v2"), "log", "31d").height == 3


def test_rows_that_a_model_may_have_learned_from_do_not_count(project: DeliveryProject) -> None:
    """v2 was made today, when these labels were known."""
    say(project)
    register_other(project, params={"as_of": str(TODAY)})
    registry = project.staging
    assert answer_matured(registry, registry.resolve("v2"), "log", "30d").height == 0


def test_of_the_source_only_rows_count_that_the_model_never_saw(project: DeliveryProject) -> None:
    lately = people(400, 9, 70_000, TODAY - timedelta(days=365))
    put_source(project, [lately])
    registry = project.staging
    (found,) = measure_recent_performance(registry, registry.resolve("v1"), date(2015, 1, 1), None, "source")
    # Of the rows of the training, the labels of the last half year were not known.
    unseen = lately.height + rows_of_source(date(2019, 7, 2), date(2019, 12, 31))
    assert found.known.rows + found.estimated.rows == unseen


def test_a_stale_model_is_due_by_age_and_volume(project: DeliveryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    lately = people(400, 9, 70_000, date(2021, 1, 1))
    put_source(project, [lately])
    move_clock(monkeypatch, timedelta(days=8))
    found = check(project)
    assert {name: one.verdict for name, one in found.items()} == {
        "age": "due",
        "performance": "unknown",
        "drift": "unknown",
        "volume": "due",
    }
    assert "nobody said up to which day all events are known" in found["performance"].evidence
    # The model of 2020-01-01 learned from the rows of three years whose label was known then.
    trained = rows_of_source(date(2016, 7, 1), date(2019, 7, 1))
    later = rows_of_source(date(2019, 7, 2), date(2019, 12, 31)) + lately.height
    assert f"the training of that date had {trained:,}" in found["volume"].evidence
    assert found["volume"].value == pytest.approx(later / trained)


def test_nothing_is_due_right_after_the_registration(project: DeliveryProject) -> None:
    put_source(project, [people(400, 9, 70_000, date(2021, 1, 1))])
    found = check(project)
    assert found["volume"].exceeded
    assert {one.verdict for one in found.values()} == {"not due", "unknown"}


def test_bad_answers_are_due_after_a_day_of_checks(project: DeliveryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    say(project, slope=-1)
    for day, verdict in ((2, "not due"), (2.5, "not due"), (3, "due")):
        move_clock(monkeypatch, timedelta(days=day))
        found = check(project)["performance"]
        assert (found.exceeded, found.verdict) == (True, verdict)
        assert "roc_auc of v1 on 300 rows whose label became known lately is 0.2" in found.evidence
    with project.staging.ledger.appending() as session:
        session.append(history.RETRAIN, details={"as_of": "2020-01-01"})
    move_clock(monkeypatch, timedelta(days=4.5))
    # What was before the training says nothing any more.
    assert check(project)["performance"].verdict == "not due"


def test_drifted_traffic_exceeds_its_limit(project: DeliveryProject) -> None:
    say(project, day=TODAY, shift=3)
    found = check(project)["drift"]
    assert found.exceeded
    assert "income has the largest PSI" in found.evidence or "(score) has the largest PSI" in found.evidence


def test_an_environment_without_a_log_looks_at_its_source(
    project: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.root / "config/environments.yaml"
    path.write_text(path.read_text().replace("    predictions_url: ${CHAMPION_PREDICTIONS_URL}\n", ""))
    put_source(project, [people(1000, 9, 70_000, TODAY - timedelta(days=360))])
    monkeypatch.delenv("CHAMPION_PREDICTIONS_URL")
    set_monitoring(project, window="60d")
    found = check(project)
    assert found["performance"].verdict == "not due"
    assert "rows whose label became known lately" in found["performance"].evidence
    assert found["drift"].value is not None


def test_a_trigger_can_be_off(project: DeliveryProject) -> None:
    set_monitoring(project, triggers={"age": None, "performance": None, "volume": None, "psi": None})
    assert list(check(project)) == ["drift"]
    set_monitoring(project, triggers=dict.fromkeys(("age", "performance", "volume", "psi", "drifted_share")))
    assert check(project) == {}


def break_log(project: DeliveryProject) -> None:
    path = Path(os.environ["CHAMPION_PREDICTIONS_URL"].removeprefix("sqlite:///"))
    path.unlink(missing_ok=True)
    path.mkdir()


def remove_source(project: DeliveryProject) -> None:
    (project.root / "data/source/people.csv").unlink()


@pytest.mark.parametrize(
    ("damage", "unknown", "told"),
    [
        (break_log, ["performance", "drift"], "the prediction log of staging cannot be used"),
        (remove_source, ["volume"], "data/source/people.csv: no such file"),
    ],
)
def test_what_cannot_be_measured_is_unknown_and_the_others_decide(
    project: DeliveryProject,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[DeliveryProject], None],
    unknown: list[str],
    told: str,
) -> None:
    say(project)
    damage(project)
    move_clock(monkeypatch, timedelta(days=9))
    result = Project(project.root).champion("should-retrain", "--env", "staging", check=False)
    assert result.returncode == 10
    assert result.stderr.count("warning: ") == len(unknown)
    assert told in result.stderr
    details = project.staging.rows[-1].details
    assert {one["name"] for one in details["triggers"] if one["verdict"] == "unknown"} >= set(unknown)
    assert details["due"]


def test_a_log_that_goes_away_while_it_is_read_leaves_triggers_unknown(
    project: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(project)
    read = PredictionLog.read

    def read_and_break(log: PredictionLog, *limits: Any) -> Any:
        parts = read(log, *limits)
        yield next(parts)
        with log._connected() as connection:
            connection.exec_driver_sql("DROP TABLE predictions")
        yield from parts

    monkeypatch.setattr(PredictionLog, "read", read_and_break)
    warnings: list[str] = []
    _, triggers = check_staleness(project.staging, warnings.append)
    assert {one.name: one.verdict for one in triggers}["drift"] == "unknown"
    assert "cannot be used" in warnings[0]


def test_without_a_version_the_first_training_is_due(delivery_project: DeliveryProject) -> None:
    project = Project(delivery_project.root)
    result = project.champion("should-retrain", "--env", "staging", check=False)
    assert result.returncode == 10
    assert "a retraining is due (first training); recorded as ledger row 1" in result.stdout
    row = delivery_project.staging.rows[-1]
    assert (row.action, row.environment, row.details["due"]) == ("should-retrain", "staging", True)
    # A refused one is a training: it is not tried again at once.
    with delivery_project.staging.ledger.appending() as session:
        session.append(history.RETRAIN, details={"as_of": "2020-01-01"})
    assert project.champion("should-retrain", "--env", "staging").returncode == 0


def test_the_command_records_what_it_prints(project: DeliveryProject) -> None:
    before = len(project.staging.rows)
    result = Project(project.root).champion("should-retrain", "--env", "staging")
    rows = project.staging.rows
    assert len(rows) == before + 1
    assert f"no retraining is due; recorded as ledger row {rows[-1].sequence}" in result.stdout
    assert result.stderr == ""
    printed = json.loads(Project(project.root).champion("should-retrain", "--env", "staging", "--json").stdout)
    recorded = project.staging.rows[-1]
    assert printed == {"environment": "staging", "row": recorded.sequence} | json.loads(json.dumps(recorded.details))
    assert [one["name"] for one in printed["triggers"]] == ["age", "performance", "drift", "volume"]
    assert differences(project.staging) == []


def test_a_check_leaves_what_a_rollback_looks_at(in_state: InState) -> None:
    """A second rollback may be an interrupted command's, so it goes back no further, whatever was recorded between."""
    project = in_state("both deployed")
    put_source(project, [])
    deployment.rollback(project.staging)
    check_staleness(project.staging, print)
    assert not deployment.rollback(project.staging).changed


def test_an_environment_that_serves_nothing_watches_the_newest_version(delivery_project: DeliveryProject) -> None:
    with pytest.raises(NotFoundError, match="the registry of staging has no version"):
        watched_version(delivery_project.staging)
    delivery_project.use_result("strong")
    register(delivery_project.staging)
    assert watched_version(delivery_project.staging).name == "v1"


def test_a_version_without_a_drift_reference_leaves_drift_unknown(delivery_project: DeliveryProject) -> None:
    delivery_project.use_result("strong")
    register(delivery_project.staging)
    files = dict(delivery_project.staging.resolve("v1").files)
    del files["reference.json"]
    register_other(delivery_project, files=files)
    put_source(delivery_project, [])
    warnings: list[str] = []
    _, triggers = check_staleness(delivery_project.staging, warnings.append)
    assert {one.name: one.verdict for one in triggers}["drift"] == "unknown"
    assert warnings[0].startswith("the trigger drift is unknown: v2 was registered by an older release")


def test_the_performance_of_a_file_is_printed_as_json(project: DeliveryProject, tmp_path: Path) -> None:
    people(400, 9, 70_000, date(2021, 1, 1)).write_parquet(tmp_path / "rows.parquet")
    arguments = ("performance", "--env", "staging", "--from", str(tmp_path / "rows.parquet"), "--json")
    found = json.loads(Project(project.root).champion(*arguments).stdout)
    (one,) = found["performance"]
    assert (one["version"], one["known"]["rows"], one["estimated"]["rows"]) == ("v1", 400, 0)
    assert one["known"]["metrics"]["roc_auc_low"] < one["known"]["metrics"]["roc_auc"]
