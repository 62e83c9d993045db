"""What was answered reaches the prediction log, whatever fails on the way."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import requests
import sqlalchemy as sa

from champion.delivery import rollout
from champion.predictions.log import PredictionLog
from champion.predictions.record import Record
from champion.predictions.spool import SpoolReader
from champion.predictions.users import Pseudonyms
from support.delivery import DeliveryProject, InState
from support.serving import ROW, Server, await_true, serving, serving_apart, set_predictions
from support.wire import as_bytes, body_of, connect, read_all, statuses


@pytest.fixture
def promoted(in_state: InState) -> DeliveryProject:
    """Production serves v1."""
    return in_state("promoted")


LARGE = [ROW | {"region": "x" * 1000}] * 100


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory, results: Path, shared: Path) -> Iterator[Server]:
    """A server for the tests that leave it as it is."""
    with serving_apart(tmp_path_factory.mktemp("outcomes"), results, shared) as server:
        yield server


def logged() -> list[dict[str, Any]]:
    """All rows of the log."""
    engine = sa.create_engine(os.environ["CHAMPION_PREDICTIONS_URL"])
    with engine.connect() as connection:
        found = connection.execute(sa.text('SELECT * FROM predictions ORDER BY time, sequence, "row"'))
        rows = [dict(row) for row in found.mappings()]
    engine.dispose()
    return rows


def spool(project: DeliveryProject) -> Path:
    return project.root / "var/production/spool.db"


@pytest.fixture
def come_back(promoted: DeliveryProject) -> Callable[[], None]:
    """The log is out of reach until this is called: a folder lies where its file would be."""
    path = Path(os.environ["CHAMPION_PREDICTIONS_URL"].removeprefix("sqlite:///"))
    path.mkdir()
    return path.rmdir


def ask(server: Server, times: int) -> list[str]:
    """The ids of so many answered requests."""
    return [server.predict(user_id=f"user-{number}")["request_id"] for number in range(times)]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_logged_answer_is_the_one_that_was_given(
    promoted: DeliveryProject, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    if database == "postgresql":
        monkeypatch.setenv("CHAMPION_PREDICTIONS_URL", request.getfixturevalue("postgresql_url"))
    rows = [ROW, ROW | {"region": None}, ROW | {"region": "\0<script>é\ue000", "age": 10**30, "other": "left out"}]
    before = datetime.now(UTC)
    with serving(promoted) as server:
        answer = server.post(rows=rows, user_id="u-17").json()
    found = logged()
    assert [row["row"] for row in found] == [0, 1, 2]
    assert [json.loads(row["features"]) for row in found] == [{name: row[name] for name in ROW} for row in rows]
    for row, prediction in zip(found, answer["predictions"], strict=True):
        assert row["probability"] == prediction["probability"]
        assert bool(row["decision"]) == prediction["decision"]
        assert (row["request_id"], row["version"], row["variant"]) == (answer["request_id"], "v1", None)
        assert (row["environment"], row["user"]) == ("production", Pseudonyms(b"tests").of("u-17"))
        assert timedelta() < datetime.fromisoformat(row["time"]) - before < timedelta(minutes=1)


def test_a_users_name_is_written_nowhere(promoted: DeliveryProject) -> None:
    with serving(promoted) as server:
        server.predict(user_id="jane.doe@example.org")
    files = [path for path in promoted.root.parent.rglob("*.db*") if path.is_file()]
    assert spool(promoted) in files
    assert not any(b"jane.doe" in path.read_bytes() for path in files)


def test_a_logged_answer_names_the_flag_that_chose(in_state: InState) -> None:
    project = in_state("promoted twice")
    rollout.roll_out(project.production, "v1", 50)
    with serving(project) as server:
        answers = [server.predict(user_id=f"user-{number}") for number in range(20)]
    flags = {"v2": None, "v1": "new_model:on"}
    expected = {one["request_id"]: (one["version"], flags[one["version"]]) for one in answers}
    assert {row["request_id"]: (row["version"], row["variant"]) for row in logged()} == expected
    assert {version for version, _ in expected.values()} == {"v1", "v2"}


def test_an_outage_of_the_log_loses_no_row(promoted: DeliveryProject, come_back: Callable[[], None]) -> None:
    with serving(promoted, workers=2) as server:
        ids = ask(server, 50)
        server.await_message("the prediction log of production cannot be used")
        await_true(lambda: server.metric("champion_follows_store") == {"": 0.0})
        ids += ask(server, 50)
        come_back()
        await_true(lambda: len(rows_if_any()) == 100)
        await_true(lambda: server.metric("champion_follows_store") == {"": 1.0})
    assert sorted(row["request_id"] for row in logged()) == sorted(ids)


def rows_if_any() -> list[dict[str, Any]]:
    try:
        return logged()
    except sa.exc.OperationalError:
        return []


@pytest.mark.sweep
def test_an_end_in_an_outage_leaves_the_rows_to_the_next_server(
    promoted: DeliveryProject, come_back: Callable[[], None]
) -> None:
    with serving(promoted) as server:
        ids = ask(server, 20)
    come_back()
    with serving(promoted, caller="again"):
        await_true(lambda: len(rows_if_any()) == 20)
    assert sorted(row["request_id"] for row in logged()) == sorted(ids)


@pytest.mark.sweep
def test_a_kill_of_all_processes_loses_no_row_of_before_the_last_sync(
    promoted: DeliveryProject, come_back: Callable[[], None]
) -> None:
    with serving(promoted, workers=2) as server:
        ids = ask(server, 40)
        await_true(lambda: len(kept(promoted)) == 40)
        kill_all(server)
    come_back()
    with serving(promoted, caller="again"):
        await_true(lambda: len(rows_if_any()) == 40)
    assert sorted(row["request_id"] for row in logged()) == sorted(ids)


def kept(project: DeliveryProject) -> list[Record]:
    """The records in the spool."""
    reader, damaged = SpoolReader.open(spool(project))
    try:
        assert damaged is None
        return reader.read(1000)[0]
    finally:
        reader.close()


def kill_all(server: Server) -> None:
    for process in (server.process, *server.workers()):
        process.kill()
    server.process.wait(10)


@pytest.mark.sweep
def test_a_full_spool_refuses_requests_until_there_is_room(
    promoted: DeliveryProject, come_back: Callable[[], None]
) -> None:
    set_predictions(promoted, "{ spool_mb: 16 }")
    with serving(promoted) as server:
        answered = 0
        while (answer := server.post(rows=LARGE)).status_code == 200:
            answered += 1
        assert answer.status_code == 503
        assert answer.json()["detail"] == "The prediction log is full. Try again later."
        assert answer.headers["retry-after"] == "5"
        come_back()
        await_true(lambda: server.post(row=ROW).status_code == 200, 60)
    assert len(logged()) == len(LARGE) * answered + 1


@pytest.mark.sweep
def test_a_full_spool_that_only_counts_refuses_no_request(
    promoted: DeliveryProject, come_back: Callable[[], None]
) -> None:
    set_predictions(promoted, "{ spool_mb: 16, when_full: count }")
    with serving(promoted) as server:
        sent = 0
        while not unlogged(server):
            assert server.post(rows=LARGE).status_code == 200
            sent += 1
        come_back()
        await_true(lambda: not kept(promoted), 60)
        lost = unlogged(server)
    assert len(logged()) == len(LARGE) * sent - lost


def unlogged(server: Server) -> float:
    return sum(server.metric("champion_unlogged_rows_total").values())


@pytest.mark.sweep
def test_a_spool_that_was_cut_loses_only_its_end(promoted: DeliveryProject, come_back: Callable[[], None]) -> None:
    with serving(promoted) as server:
        ids = []
        for number in range(3):
            ids += ask(server, 5)
            await_true(lambda number=number: len(kept(promoted)) == 5 * (number + 1))  # type: ignore[misc]
        kill_all(server)
    ahead = spool(promoted).with_name("spool.db-wal")
    os.truncate(ahead, ahead.stat().st_size - 10)
    come_back()
    with serving(promoted, caller="again"):
        await_true(lambda: len(rows_if_any()) >= 10)
    assert ids[:10] == [row["request_id"] for row in logged()][:10]


def test_a_damaged_spool_is_moved_away(promoted: DeliveryProject) -> None:
    spool(promoted).parent.mkdir(parents=True)
    spool(promoted).write_bytes(b"no database" * 1000)
    with serving(promoted) as server:
        assert any("spool.db was damaged, and is spool.db.damaged-" in message for message in server.messages)
        server.predict()
    assert len(logged()) == 1


def test_sigterm_under_load_loses_no_row(promoted: DeliveryProject) -> None:
    with serving(promoted, workers=2) as server:
        ids = ask(server, 200)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert sorted(row["request_id"] for row in logged()) == sorted(ids)


def test_a_request_after_the_last_one_is_neither_answered_nor_logged(promoted: DeliveryProject) -> None:
    with serving(promoted) as server, connect(server) as wire:
        wire.sendall(b"POST /v1/predict HTTP/1.1\r\nContent-Length: 2\r\n\r\n{")
        assert statuses(wire.recv(1 << 16)) == [401]
        server.process.send_signal(signal.SIGTERM)
        server.await_leaving()
        wire.sendall(b"}" + as_bytes(server, body_of()))
        assert statuses(read_all(wire)) == []
    assert rows_if_any() == []


def test_an_outcome_reaches_its_row_and_the_last_one_counts(promoted: DeliveryProject) -> None:
    with serving(promoted) as server:
        request_id = server.post(rows=[ROW, ROW, ROW]).json()["request_id"]
        for outcomes in (
            [(0, "2026-01-05"), (1, "2026-02-01")],
            [(0, "2026-01-05")],
            [(0, "2026-01-04"), (1, None)],
            [(7, "2026-01-01")],
        ):
            said = [{"request_id": request_id, "row": row, "date": day} for row, day in outcomes]
            answer = server.say(outcomes=said, complete_through="2026-10-31")
            assert (answer.status_code, answer.json()["outcomes"]) == (202, len(said))
        assert server.say(outcomes=[{"request_id": "unknown", "date": "2026-01-01"}]).status_code == 202
    log = PredictionLog(os.environ["CHAMPION_PREDICTIONS_URL"], "production")
    found = pl.concat(log.read(None, None))
    assert found["event"].to_list() == [date(2026, 1, 4), None, None]
    assert log.complete_through() == date(2026, 10, 31)
    log.close()


@pytest.mark.parametrize(
    ("said", "status", "sentence"),
    [
        ({"outcomes": [{"request_id": "r", "date": "2206-01-01"}]}, 422, "An event has not happened yet."),
        ({"complete_through": "2206-01-01"}, 422, "`complete_through` is in the future."),
        ({"outcomes": [{"request_id": "r", "date": "1 May"}]}, 422, "The body is not as it should be: "),
        ({"outcomes": [{"request_id": "r\n", "date": None}]}, 422, "The body is not as it should be: "),
        ({"outcomes": [{"request_id": "a b", "date": None}]}, 422, "The body is not as it should be: "),
        ({"outcomes": [{"request_id": "r", "date": None}] * 1001}, 413, "The request has 1001 outcomes"),
        ({"outcomes": [{"request_id": "r", "date": None, "other": "x" * 2_000_000}]}, 413, "The body has more than"),
    ],
)
def test_a_wrong_outcome_is_refused(one_server: Server, said: dict[str, Any], status: int, sentence: str) -> None:
    answer = one_server.say(**said)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["detail"].startswith(sentence)


def test_an_outcome_needs_a_key_and_a_log(promoted: DeliveryProject) -> None:
    path = promoted.root / "config/environments.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "CHAMPION_PREDICTIONS_URL" not in line))
    with serving(promoted) as server:
        assert server.predict()["version"] == "v1"
        assert server.say(outcomes=[]).status_code == 404
        server.session.headers.pop("Authorization")
        assert server.say(outcomes=[]).status_code == 401


@pytest.mark.sweep
def test_a_minute_without_the_log_under_load_loses_only_what_killed_workers_had_not_synced(
    promoted: DeliveryProject, come_back: Callable[[], None]
) -> None:
    answered: list[tuple[float, str]] = []
    stop = threading.Event()
    with serving(promoted, workers=2) as server:
        clients = [threading.Thread(target=_ask_until, args=(server, stop, answered)) for _ in range(4)]
        for client in clients:
            client.start()
        killed = []
        for worker in server.workers():
            time.sleep(20)
            worker.kill()
            killed.append(time.monotonic())
        time.sleep(20)
        come_back()
        stop.set()
        for client in clients:
            client.join()
    found = {row["request_id"] for row in logged()}
    lost = [moment for moment, its_id in answered if its_id not in found]
    assert len(answered) > 1000
    assert all(any(-0.5 < at - moment < 1 for at in killed) for moment in lost)


def _ask_until(server: Server, stop: threading.Event, answered: list[tuple[float, str]]) -> None:
    """Ask without a pause, on a new connection each time, as a killed worker takes its connections with it."""
    while not stop.is_set():
        with contextlib.suppress(requests.ConnectionError):
            body, headers = {"row": ROW}, {"Authorization": server.authorization}
            answer = requests.post(f"{server.url}/v1/predict", json=body, headers=headers, timeout=10)
            if answer.status_code == 200:
                answered.append((time.monotonic(), answer.json()["request_id"]))
