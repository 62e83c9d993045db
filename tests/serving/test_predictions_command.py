"""The prediction log as a file, without a user, and without what is old."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier

import msgspec
import polars as pl
import pytest

from champion.core.errors import NotFoundError, UnavailableError
from champion.delivery.erasure import erase
from champion.environments import load_environment
from champion.predictions.log import PredictionLog
from champion.predictions.record import Answered, Complete, Outcome, Row
from champion.predictions.shipping import Shipper
from champion.predictions.spool import Spool, SpoolReader
from champion.predictions.users import Pseudonyms
from champion.registry import history
from support.delivery import DeliveryProject, InState
from support.project import Project

NOW = datetime.now(UTC).replace(microsecond=123)
HOSTILE = "\0'; DROP TABLE predictions; --<script>\U0001f4a3é"


def record(number: int, *, rows: int = 1, user: str | None = None, days_ago: int = 0, worker: str = "w") -> Answered:
    values = Row(msgspec.Raw(msgspec.json.encode({"name": HOSTILE, "number": number})), 0.25, False, None)
    outside = Row(msgspec.Raw(b'{"name":null}'), None, None, "rule")
    moment = (NOW - timedelta(days=days_ago)).timestamp()
    every = [values, *[outside] * (rows - 1)]
    return Answered(worker, number, moment, f"r{number}", user, "v1", "new_model:on", every)


@pytest.fixture
def log(database_url: str) -> Iterator[PredictionLog]:
    log = PredictionLog(database_url, "production")
    log.prepare()
    yield log
    log.close()


def frame(log: PredictionLog, since: datetime | None = None, until: datetime | None = None) -> pl.DataFrame:
    return pl.concat(log.read(since, until))


def test_a_log_can_be_prepared_by_many_at_once(database_url: str) -> None:
    logs, ready = [PredictionLog(database_url, "production") for _ in range(4)], Barrier(4)

    def prepare(log: PredictionLog) -> None:
        ready.wait()
        log.prepare()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(prepare, logs))
    for log in logs:
        assert log.tally() == []
        log.close()


def test_a_log_holds_each_row_once_however_often_it_is_added(log: PredictionLog) -> None:
    records = [record(number, rows=2) for number in range(3)]
    log.add(records[:2])
    log.add(records)
    found = frame(log)
    assert found["request_id"].to_list() == ["r0", "r0", "r1", "r1", "r2", "r2"]
    assert found["row"].to_list() == [0, 1] * 3
    assert found.row(0, named=True) == {
        "time": NOW,
        "user": None,
        "request_id": "r0",
        "row": 0,
        "version": "v1",
        "variant": "new_model:on",
        "probability": 0.25,
        "decision": False,
        "out_of_scope": None,
        "features": msgspec.json.encode({"name": HOSTILE, "number": 0}).decode(),
        "event": None,
    }
    assert found.row(1, named=True)["out_of_scope"] == "rule"


def test_a_log_is_read_between_two_moments(log: PredictionLog) -> None:
    log.add([record(number, days_ago=number) for number in range(5)])
    day = timedelta(days=1)
    assert frame(log, NOW - 3 * day, NOW - day)["request_id"].to_list() == ["r3", "r2"]
    assert frame(log, NOW + day)["request_id"].to_list() == []


def test_environments_that_share_a_database_do_not_see_each_other(log: PredictionLog, database_url: str) -> None:
    staging = PredictionLog(database_url, "staging")
    log.add([record(1, user="u")])
    staging.add([record(2, user="u")])
    assert frame(staging)["request_id"].to_list() == ["r2"]
    assert staging.erase("u") == 1
    staging.remove_before(NOW + timedelta(days=1))
    staging.close()
    assert frame(log)["request_id"].to_list() == ["r1"]


def test_a_shipper_removes_what_is_too_old(log: PredictionLog, tmp_path: Path) -> None:
    log.add([record(1, days_ago=10), record(2, days_ago=3)])
    shipper, _ = Shipper.open(log, tmp_path / "spool.db", timedelta(days=5))
    assert not shipper.ship()
    shipper.close()
    assert frame(log)["request_id"].to_list() == ["r2"]


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_shipper_that_dies_before_it_forgets_ships_nothing_twice(
    log: PredictionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "spool.db", 16, 0.01)
    for number in range(3):
        spool.append(record(number))
    assert spool.close()
    shipper, _ = Shipper.open(log, tmp_path / "spool.db")
    monkeypatch.setattr(SpoolReader, "remove", die)
    with pytest.raises(KeyboardInterrupt):
        shipper.ship()
    monkeypatch.undo()
    shipper.close()
    again, _ = Shipper.open(log, tmp_path / "spool.db")
    assert again.ship()
    assert not again.ship()
    again.close()
    assert frame(log)["request_id"].to_list() == ["r0", "r1", "r2"]


def test_an_error_of_a_log_shows_no_password(tmp_path: Path) -> None:
    log = PredictionLog("postgresql+psycopg://champion:hunter2@127.0.0.1:1/predictions", "production")
    with pytest.raises(UnavailableError, match="the prediction log of production cannot be used") as caught:
        log.prepare()
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def project(in_state: InState) -> DeliveryProject:
    """Production has a log with rows of two users."""
    project = in_state("promoted")
    log = PredictionLog(os.environ["CHAMPION_PREDICTIONS_URL"], "production")
    log.prepare()
    users = [Pseudonyms(b"tests").of(name) for name in ("ann", "bob")]
    log.add([record(number, rows=2, user=users[number % 2], days_ago=number) for number in range(6)])
    return project


def test_an_export_has_the_rows_of_its_time(project: DeliveryProject) -> None:
    until = f"{NOW - timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    out = project.root / "log.parquet"
    told = Project(project.root).champion("predictions", "export", str(out), "--env", "production", "--until", until)
    assert told.stdout == "8 rows of production are in log.parquet\n"
    found = pl.read_parquet(out)
    assert found["request_id"].unique(maintain_order=True).to_list() == ["r5", "r4", "r3", "r2"]
    assert found.schema["time"] == pl.Datetime("us", "UTC")


def test_an_export_may_end_in_the_future(project: DeliveryProject) -> None:
    between = ("--since", f"{NOW - timedelta(days=1)}", "--until", "2206-01-01")
    told = Project(project.root).champion("predictions", "export", "log.parquet", "--env", "production", *between)
    assert told.stdout == "4 rows of production are in log.parquet\n"


def test_an_empty_export_is_a_table_without_rows(project: DeliveryProject) -> None:
    out = project.root / "log.parquet"
    told = Project(project.root).champion("predictions", "export", str(out), "--env", "staging")
    assert told.stdout == "0 rows of staging are in log.parquet\n"
    assert pl.read_parquet(out).shape == (0, 11)


def test_an_erasure_removes_a_user_and_its_ledger_row_names_nobody(project: DeliveryProject) -> None:
    told = Project(project.root).champion(
        "predictions", "erase", "--user", "ann", "--env", "production", "--reason", "asked to"
    )
    row = project.production.rows[-1]
    assert told.stdout == f"6 rows erased from production's prediction log (ledger row {row.sequence})\n"
    assert (row.action, row.reason, row.details) == (history.ERASE, "asked to", {"rows": 6})
    log = PredictionLog(os.environ["CHAMPION_PREDICTIONS_URL"], "production")
    assert frame(log)["user"].unique().to_list() == [Pseudonyms(b"tests").of("bob")]
    with pytest.raises(NotFoundError, match="the prediction log of production has no row of this user"):
        erase(project.production, "ann")
    assert project.production.rows[-1].sequence == row.sequence


@pytest.mark.parametrize("out", ["log.csv", "nowhere/log.parquet"])
def test_an_export_refuses_a_wrong_path(project: DeliveryProject, out: str) -> None:
    told = Project(project.root).champion("predictions", "export", out, "--env", "production", check=False)
    assert told.returncode == 1
    assert "it is no Parquet file in a folder that exists" in told.stderr


def test_an_environment_without_a_log_says_so(project: DeliveryProject) -> None:
    path = project.root / "config/environments.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "CHAMPION_PREDICTIONS_URL" not in line))
    assert load_environment("production", project.root).predictions_url is None
    told = Project(project.root).champion("predictions", "export", "log.parquet", "--env", "production", check=False)
    assert "production logs no predictions: config/environments.yaml has no `predictions_url`." in told.stderr


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_outcomes_of_a_table_reach_their_rows(project: DeliveryProject, suffix: str) -> None:
    table = pl.DataFrame(
        {
            "request_id": ["r0", "r1", "other", "r0"],
            "row": [1, 0, 5, 0],
            "date": ["2026-01-05", "2026-02-01", None, None],
        }
    )
    path = project.root / f"outcomes.{suffix}"
    if suffix == "csv":
        table.write_csv(path)
    else:
        table.with_columns(pl.col("date").str.to_date()).write_parquet(path)
    options = ("--env", "production", "--complete-through", "2026-10-31")
    told = Project(project.root).champion("outcomes", str(path), *options)
    assert told.stdout == "4 outcomes are in production's prediction log\n"
    log = PredictionLog(os.environ["CHAMPION_PREDICTIONS_URL"], "production")
    found = frame(log).filter(pl.col("event").is_not_null()).select("request_id", "row", "event").rows()
    assert sorted(found) == [("r0", 1, date(2026, 1, 5)), ("r1", 0, date(2026, 2, 1))]
    assert log.complete_through() == date(2026, 10, 31)
    log.close()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("request_id\nr0\n", "outcomes.csv: the column 'date' is missing. Add it."),
        ("request_id,date\nr0,1 May\n", "outcomes.csv: '1 May' in row 1 of column 'date' is no date such as"),
        ("request_id,date\nr0,\nr1,2206-01-01\n", "'2206-01-01' in row 2 of column 'date' is in the future. Correct"),
        ("request_id,date\nr 0,\n", "'r 0' in row 1 of column 'request_id' is no request's id. Correct it."),
        ("request_id,row,date\nr0,-1,\n", "'-1' in row 1 of column 'row' is no row's number, which counts from 0."),
        (
            "request_id,row,date\nr0,x,\n",
            "'x' in row 1 of column 'row' is no row's number, which counts from 0. Correct",
        ),
        ("", "outcomes.csv: not readable Parquet or CSV ("),
    ],
)
def test_a_wrong_table_of_outcomes_changes_nothing(project: DeliveryProject, text: str, sentence: str) -> None:
    (project.root / "outcomes.csv").write_text(text)
    told = Project(project.root).champion("outcomes", "outcomes.csv", "--env", "production", check=False)
    assert told.returncode == 1
    assert sentence in told.stderr
    assert "Traceback" not in told.stderr
    log = PredictionLog(os.environ["CHAMPION_PREDICTIONS_URL"], "production")
    assert frame(log)["event"].null_count() == frame(log).height
    log.close()


def test_a_column_of_another_type_is_refused(project: DeliveryProject) -> None:
    pl.DataFrame({"request_id": [["r0"]], "date": [timedelta(1)]}).write_parquet(project.root / "outcomes.parquet")
    told = Project(project.root).champion("outcomes", "outcomes.parquet", "--env", "production", check=False)
    assert "outcomes.parquet: the column 'request_id' holds List(String), not text. Convert it." in told.stderr


def test_an_erasure_removes_outcomes_too(log: PredictionLog) -> None:
    log.add([record(1, user="u"), record(2), Outcome(0.0, "r1", 0, "2026-01-01"), Outcome(0.0, "r2", 0, "2026-01-02")])
    log.erase("u")
    log.add([record(1, user="u")])
    assert frame(log)["event"].to_list() == [None, date(2026, 1, 2)]


def test_the_day_up_to_which_events_are_known_is_the_one_said_last(log: PredictionLog) -> None:
    assert log.complete_through() is None
    log.add([Complete(2.0, "2026-01-31"), Complete(1.0, "2026-03-31"), Complete(2.0, "2026-02-28")])
    assert log.complete_through() == date(2026, 2, 28)
