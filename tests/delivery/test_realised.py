"""What a delivered model did on rows whose label became known later, beside what was promised."""

import json
import sqlite3
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from champion.core.errors import UserError
from champion.core.values import rounded
from champion.delivery.audit import differences
from champion.delivery.realised import realise
from champion.delivery.register import register
from champion.delivery.webhook import VARIABLE
from champion.model.bootstrap import Resamples
from champion.model.metrics import score_with_intervals
from champion.registry import history
from support.delivery import DeliveryProject
from support.project import Project
from support.refusals import snapshot
from support.results import PARAMS, people
from support.webhook import Webhook

# v1 was made on 2020-01-01, and a label is known six months after its row.
DAY = "2021-01-01"


def rows_of(*days: str) -> pl.DataFrame:
    """A row of each day, with every other answer yes."""
    table = people(len(days), 5, 50_000, date(2019, 1, 1))
    answers = ["yes" if number % 2 else "no" for number in range(len(days))]
    return table.with_columns(day=pl.Series([date.fromisoformat(day) for day in days]), answer=pl.Series(answers))


@pytest.fixture
def source() -> pl.DataFrame:
    """Rows of two years, from 2019 on."""
    return pl.concat([people(600, 8, 60_000, date(2019, 1, 1)), people(600, 9, 70_000, date(2020, 1, 1))])


@pytest.fixture
def registered(delivery_project: DeliveryProject, source: pl.DataFrame) -> DeliveryProject:
    """v1 is `strong`, and the source has newer rows than when it was made."""
    delivery_project.use_result("strong")
    put(delivery_project, source)
    register(delivery_project.staging)
    return delivery_project


def put(project: DeliveryProject, table: pl.DataFrame) -> None:
    folder = project.root / "data/source"
    folder.mkdir(parents=True, exist_ok=True)
    table.write_csv(folder / "people.csv")


def register_other(project: DeliveryProject, params: dict[str, Any] | None = None, **details: Any) -> str:
    """A version with the files of v1, but with these sections of params and these details."""
    registry = project.staging
    first = history.registration(registry.rows, "v1")
    changed = details | {"params": dict(first.details["params"]) | (params or {})}
    name = f"v{len(history.versions(registry.rows)) + 1}"
    with registry.ledger.appending() as session:
        session.append("register", version=name, model_sha256=first.model_sha256, details=dict(first.details) | changed)
    return name


def between(table: pl.DataFrame, first: str, last: str) -> pl.DataFrame:
    return table.filter(pl.col("day").is_between(date.fromisoformat(first), date.fromisoformat(last)))


def probabilities(project: DeliveryProject, rows: pl.DataFrame) -> NDArray[np.float64]:
    """What the delivered model of v1 says about rows of the source."""
    return project.staging.load_model("v1").predict(rows)


def refusal(project: DeliveryProject, name: str = "v1", day: str = DAY) -> str:
    """The sentence with which nothing is recorded."""
    before = len(project.staging.rows)
    with pytest.raises(UserError) as error:
        realise(project.staging, name, day)
    assert len(project.staging.rows) == before
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_both_parts_are_the_rows_whose_label_became_known(registered: DeliveryProject, source: pl.DataFrame) -> None:
    found = realise(registered.staging, "v1", DAY).details
    after, before = between(source, "2020-01-01", "2020-07-01"), between(source, "2019-07-02", "2019-12-31")
    for part, rows in (("after", after), ("before", before)):
        described = (found[part]["rows"], found[part]["first"], found[part]["last"])
        assert described == (rows.height, str(rows["day"].min()), str(rows["day"].max()))
        target = rows["answer"] == "yes"
        assert found[part]["metrics"]["roc_auc"] == round(roc_auc_score(target, probabilities(registered, rows)), 6)
        assert found[part]["metrics"]["base_rate"] == round(target.mean(), 6)


def test_a_part_begins_and_ends_on_the_right_day(registered: DeliveryProject) -> None:
    inside = ["2020-01-01", "2020-03-01", "2020-06-30", "2020-07-01", "2019-07-02", "2019-08-01", "2019-12-31"]
    put(registered, rows_of(*inside, "2019-07-01", "2020-07-02"))
    found = realise(registered.staging, "v1", DAY).details
    assert [found["after"][key] for key in ("rows", "first", "last")] == [4, "2020-01-01", "2020-07-01"]
    assert [found["before"][key] for key in ("rows", "first", "last")] == [3, "2019-07-02", "2019-12-31"]


def test_the_model_decides_with_its_own_cut_and_known_rate(registered: DeliveryProject, source: pl.DataFrame) -> None:
    manifest, rows = registered.staging.load_model("v1").manifest, between(source, "2020-01-01", "2020-07-01")
    metrics = realise(registered.staging, "v1", DAY).details["after"]["metrics"]
    assert metrics["flagged_share"] == round((probabilities(registered, rows) >= manifest.cut).mean(), 6)
    assert metrics["known_rate"] == round(manifest.base_rate, 6)


def test_intervals_are_made_as_the_version_says(registered: DeliveryProject, source: pl.DataFrame) -> None:
    name = register_other(registered, params={"evaluate": PARAMS["evaluate"] | {"bootstrap_samples": 150, "seed": 3}})
    metrics = realise(registered.staging, name, DAY).details["after"]["metrics"]
    rows = between(source, "2020-01-01", "2020-07-01")
    target = (rows["answer"] == "yes").cast(pl.Int8).to_numpy()
    manifest, resamples = registered.staging.load_model("v1").manifest, Resamples(rows.height, None, 150, 3)
    scored = probabilities(registered, rows)
    assert metrics == rounded(score_with_intervals(target, scored, manifest.cut, manifest.base_rate, resamples))
    assert metrics["roc_auc_low"] < metrics["roc_auc"] < metrics["roc_auc_high"]


def test_the_ledger_gets_one_row_with_what_was_promised(registered: DeliveryProject) -> None:
    version = history.versions(registered.staging.rows)["v1"]
    recorded = len(registered.staging.rows)
    realise(registered.staging, "challenger", DAY)
    rows = registered.staging.rows
    last = rows[-1]
    assert len(rows) == recorded + 1
    assert (last.action, last.version, last.model_sha256) == ("realised", "v1", version.model_sha256)
    assert (last.details["as_of"], last.details["made"]) == (DAY, "2020-01-01")
    assert last.details["promised"]["roc_auc_low"] == version.metrics["roc_auc_low"]
    assert differences(registered.staging) == []


def test_no_file_of_the_project_changes(registered: DeliveryProject) -> None:
    before = snapshot(Project(registered.root))
    realise(registered.staging, "v1", DAY)
    assert snapshot(Project(registered.root)) == before


def test_old_rows_are_read_however_late_the_date_is(registered: DeliveryProject) -> None:
    """With such short lengths, the window as of 2026 begins in 2024."""
    name = register_other(registered, params={"window": 1, "split": {"test": 1}})
    found = realise(registered.staging, name, "2026-01-01").details
    assert (found["before"]["first"], found["after"]["last"][:7]) == ("2019-07-02", "2020-12")


def test_excluded_rows_and_unknown_outcomes_are_left_out(registered: DeliveryProject, source: pl.DataFrame) -> None:
    name = register_other(
        registered, params={"ingest": PARAMS["ingest"] | {"exclude": {"easterners": {"region": "east"}}}}
    )
    put(registered, source.with_columns(answer=pl.when(pl.col("age") < 1).then("answer")))
    rows = between(source, "2020-01-01", "2020-07-01").filter(pl.col("region") != "east", pl.col("age") < 1)
    assert realise(registered.staging, name, DAY).details["after"]["rows"] == rows.height


def test_whole_groups_are_resampled(registered: DeliveryProject) -> None:
    """There are three regions, too few for an interval."""
    region = {"type": "category", "role": "group", "feature": True}
    name = register_other(registered, params={"columns": PARAMS["columns"] | {"region": region}})
    after = realise(registered.staging, name, DAY).details["after"]
    assert 2 < after["effective_groups"] <= 3
    assert (after["metrics"]["roc_auc_low"], after["metrics"]["roc_auc"] > 0.5) == (None, True)


def test_a_database_gives_the_rows_of_the_date(
    registered: DeliveryProject, source: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = registered.root.parent / "source.db"
    monkeypatch.setenv("PEOPLE_URL", f"sqlite:///{path}")
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE people ({', '.join(source.columns)})")
        rows = source.with_columns(pl.col("day").cast(pl.String)).rows()
        database.executemany(f"INSERT INTO people VALUES ({', '.join('?' * source.width)})", rows)  # noqa: S608
    database.close()
    sql = {"source": "sql", "url_env": "PEOPLE_URL", "query": "SELECT * FROM people WHERE day >= :start AND day < :end"}
    name = register_other(registered, params={"ingest": sql})
    from_file, from_sql = (realise(registered.staging, one, DAY).details for one in ("v1", name))
    for part in ("after", "before"):
        assert from_sql[part]["rows"] == from_file[part]["rows"]
        assert from_sql[part]["metrics"]["roc_auc"] == from_file[part]["metrics"]["roc_auc"]


def test_the_promise_of_an_older_version_may_have_gaps(registered: DeliveryProject) -> None:
    name = register_other(registered, metrics={"roc_auc": 0.7})
    details = realise(registered.staging, name, DAY).details
    assert (details["promised"]["roc_auc"], details["promised"]["lift_10"]) == (0.7, None)
    assert details["within_rehearsals"] is None
    assert "none" in Project(registered.root).champion("realised", name, "--as-of", DAY, "--env", "staging").stdout


@pytest.mark.parametrize(("low", "high", "within"), [(0.0, 1.0, True), (0.0, 0.1, False), (0.95, 1.0, False)])
def test_the_rehearsals_interval_is_compared(
    registered: DeliveryProject, low: float, high: float, within: bool
) -> None:
    interval = {"rehearsed_roc_auc_low": low, "rehearsed_roc_auc_high": high}
    name = register_other(registered, metrics=interval)
    assert realise(registered.staging, name, DAY).details["within_rehearsals"] is within
    printed = Project(registered.root).champion("realised", name, "--as-of", DAY).stdout
    assert f"{'lies in' if within else 'lies outside'} the rehearsals' prediction interval" in printed


def test_the_command_prints_both_or_the_details(registered: DeliveryProject) -> None:
    project = Project(registered.root)
    lines = project.champion("realised", "v1", "--as-of", DAY).stdout.splitlines()
    details = json.loads(project.champion("realised", "v1", "--as-of", DAY, "--json").stdout)
    assert lines[0].split("  ")[0] == f"v1 on {DAY}"
    auc = next(line for line in lines if line.startswith("roc_auc "))
    assert f"{details['promised']['roc_auc']:.4f} [" in auc
    assert f"{details['after']['metrics']['roc_auc']:.4f} [" in auc
    assert details == json.loads(json.dumps(registered.staging.rows[-1].details))


def test_a_date_must_be_a_date_of_the_past_when_labels_are_known(registered: DeliveryProject) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=2)
    assert "'soon' is not a date such as 2014-07-01" in refusal(registered, day="soon")
    assert f"{tomorrow} is in the future" in refusal(registered, day=str(tomorrow))
    for day in ("2019-12-31", "2020-01-01", "2020-06-30"):
        assert f"is known on {day}. Give a date from 2020-07-01 on." in refusal(registered, day=day)
    assert "there is no version 'v7'" in refusal(registered, "v7")


def test_the_first_day_with_a_label_suffices(registered: DeliveryProject) -> None:
    put(registered, rows_of("2020-01-01", "2020-01-01", "2019-11-01"))
    found = realise(registered.staging, "v1", "2020-07-01").details
    assert (found["after"]["rows"], found["before"]["rows"]) == (2, 1)
    assert found["before"]["metrics"]["roc_auc"] is None


def test_no_earlier_row_is_a_part_of_no_rows(registered: DeliveryProject) -> None:
    put(registered, rows_of("2020-01-01", "2020-01-01"))
    assert realise(registered.staging, "v1", DAY).details["before"]["metrics"] is None
    assert Project(registered.root).champion("realised", "v1", "--as-of", DAY).stdout.count("none") >= 9


def test_rows_that_tell_nothing_are_refused(registered: DeliveryProject, source: pl.DataFrame) -> None:
    put(registered, between(source, "2019-01-01", "2019-12-31"))
    assert "the source has no row from 2020-01-01 on" in refusal(registered)
    put(registered, source.with_columns(answer=pl.lit("no")))
    assert "have the same label, so no model can be scored" in refusal(registered)


def test_a_source_that_is_gone_or_changed_is_told(registered: DeliveryProject, source: pl.DataFrame) -> None:
    put(registered, source.drop("noise"))
    told = refusal(registered)
    assert told.startswith("v1: with its registered params the rows cannot be read today: data/source/people.csv: ")
    assert "the column 'noise' is missing" in told
    (registered.root / "data/source/people.csv").unlink()
    assert "data/source/people.csv: no such file" in refusal(registered)


def test_a_table_without_dates_has_no_later_labels(delivery_project: DeliveryProject) -> None:
    delivery_project.use_result("undated")
    register(delivery_project.staging)
    assert "the table of v1 has no dates, so no label becomes known later" in refusal(delivery_project)


def test_an_older_version_is_told(registered: DeliveryProject) -> None:
    files = history.versions(registered.staging.rows)["v1"].files
    older = register_other(registered, files={"model.skops": files["model.skops"]}, format=2)
    assert "was registered by an older release of champion, which did not keep" in refusal(registered, older)
    renamed = register_other(registered, params={"label": PARAMS["label"] | {"months": 6}})
    assert "params that this program cannot read (`label.months`" in refusal(registered, renamed)
    moved = register_other(registered, params={"as_of": "2019-01-01"})
    assert "does not say that it was made on 2019-01-01" in refusal(registered, moved)


def test_a_changed_model_file_is_refused(registered: DeliveryProject) -> None:
    version = history.versions(registered.staging.rows)["v1"]
    registered.staging.files.write(version.key("model.skops"), b"another")
    assert "is not the file that was registered" in refusal(registered)


def test_a_notification_follows(registered: DeliveryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as server:
        monkeypatch.setenv(VARIABLE, server.url)
        realise(registered.staging, "v1", DAY)
    assert [text.partition(", by ")[0] for text in server.texts] == ["realised v1"]
