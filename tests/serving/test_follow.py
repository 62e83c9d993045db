"""A server takes up nothing that is not proved, and goes on with what it serves."""

import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from champion.delivery import deployment, proof, rollout
from champion.delivery.keys import add, revoke
from champion.registry import history
from champion.registry.registry import Registry
from champion.registry.served import POINTER, read_pointer
from champion.registry.versions import ONNX_FILE
from support.delivery import DeliveryProject, InState
from support.serving import ROW, Server, await_true, serving, set_predictions
from support.webhook import Webhook


@contextmanager
def paused(server: Server, project: DeliveryProject) -> Iterator[None]:
    """Let the supervisor follow nothing during the block."""
    server.process.send_signal(signal.SIGSTOP)
    # It may be reading the ledger, and hold up everybody who writes.
    while is_locked(project):
        server.process.send_signal(signal.SIGCONT)
        time.sleep(0.1)
        server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def is_locked(project: DeliveryProject) -> bool:
    """Whether somebody reads or writes the ledger now."""
    ledger = sqlite3.connect(project.root.parent / "ledger.db", timeout=0, isolation_level=None)
    with closing(ledger):
        try:
            ledger.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return True
        return False


def break_ledger(project: DeliveryProject) -> None:
    """Edit a row of the ledger, as only the owner of the database can."""
    ledger = project.root.parent / "ledger.db"
    with closing(sqlite3.connect(ledger)) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE ledger SET reason = 'edited' WHERE sequence = 1")


def onnx_in_store(registry: Registry, version: str) -> Path:
    return Path(registry.store.url) / registry.resolve(version).key(ONNX_FILE)


def test_a_broken_new_model_is_refused_and_the_old_one_goes_on(in_state: InState) -> None:
    project = in_state("promoted, staged")
    with Webhook() as webhook, serving(project, CHAMPION_WEBHOOK_URL=webhook.url) as server:
        with paused(server, project):
            deployment.promote(project.production)
            file = onnx_in_store(project.production, "v2")
            whole = file.read_bytes()
            file.write_bytes(whole[:-100])
        assert "is broken, so it is not served" in server.await_message("v2")
        assert server.predict()["version"] == "v1"
        await_true(lambda: history.smoke(project.production.ledger.rows(), "production") is not None)
        refusal = history.smoke(project.production.ledger.rows(), "production")
        assert refusal is not None
        assert (refusal.version, refusal.outcome) == ("v2", False)
        assert server.metric("champion_follows_store") == {"": 0}
        revoke(project.production, "tests")
        await_true(lambda: server.post(row=ROW).status_code == 401)
        _, key = add(project.production, "tests")
        server.session.headers["Authorization"] = f"Bearer {key}"
        await_true(lambda: server.post(row=ROW).status_code == 200)
        file.write_bytes(whole)
        server.await_version("v2")
        await_true(lambda: server.metric("champion_follows_store") == {"": 1})
    failures = [text for text in webhook.texts if "v2" in text and "promote" not in text]
    assert len(failures) == len(set(failures)) == 2
    assert sum(row.action == "smoke" and row.outcome is False for row in project.production.rows) == 1


def test_a_broken_ledger_stops_all_but_a_way_back(in_state: InState) -> None:
    project = in_state("promoted twice")
    with serving(project) as server:
        rollout.shadow(project.production, "v1")
        await_true(lambda: server.session.get(f"{server.url}/v1/model", timeout=5).json()["shadow"] == "v1")
        break_ledger(project)
        pointer = Path(project.production.store.url) / POINTER
        forged = pointer.read_bytes().replace(b'"version": "v2"', b'"version": "v1"')
        pointer.write_bytes(forged)
        assert "cannot be trusted" in server.await_message("warning")
        assert server.predict()["version"] == "v2"
        assert rollout.stop(project.production).changed
        await_true(lambda: server.session.get(f"{server.url}/v1/model", timeout=5).json()["shadow"] is None)
        deployment.rollback(project.production, "v1", emergency=True, reason="v2 is wrong")
        server.await_version("v1")


@pytest.mark.sweep
def test_an_unreachable_ledger_stops_all_but_a_way_back(in_state: InState) -> None:
    project = in_state("promoted twice")
    with serving(project) as server:
        ledger = project.root.parent / "ledger.db"
        ledger.rename(ledger.with_suffix(".away"))
        ledger.mkdir()
        deployment.rollback(project.production, emergency=True, reason="v2 is wrong")
        server.await_version("v1")
        ledger.rmdir()
        ledger.with_suffix(".away").rename(ledger)
        proof.smoke_test(project.production)
        assert server.predict()["version"] == "v1"


@pytest.mark.sweep
def test_a_server_whose_store_is_down_goes_on_and_follows_again(in_state: InState) -> None:
    project = in_state("promoted, staged")
    with serving(project) as server:
        store = Path(project.production.store.url)
        store.rename(store.with_suffix(".away"))
        store.write_text("no folder")
        server.await_message("warning")
        assert server.predict()["version"] == "v1"
        store.unlink()
        store.with_suffix(".away").rename(store)
        deployment.promote(project.production)
        server.await_version("v2")


@pytest.mark.sweep
def test_a_server_without_room_on_its_disk_goes_on_and_follows_again(in_state: InState) -> None:
    project = in_state("promoted, staged")
    set_predictions(project, "{ when_full: count }")
    with serving(project, workers=2) as server:
        processes = [psutil.Process(server.process.pid), *server.workers()]
        for process in processes:
            process.rlimit(psutil.RLIMIT_FSIZE, (0, -1))
        deployment.promote(project.production)
        server.await_message("File too large")
        assert {server.predict()["version"] for _ in range(20)} == {"v1"}
        assert server.metric("champion_follows_store") == {"": 0}
        for process in processes:
            process.rlimit(psutil.RLIMIT_FSIZE, (-1, -1))
        server.await_version("v2")
        await_true(lambda: server.metric("champion_follows_store") == {"": 1})
        assert {worker.pid for worker in server.workers()} == {process.pid for process in processes[1:]}
    # The version is not to blame.
    assert [row for row in project.production.rows if row.outcome is False] == []


def test_a_worker_gets_no_secret(in_state: InState) -> None:
    project = in_state("promoted")
    variables = {"CHAMPION_LEDGER_KEY": "s3cret", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    with serving(project, **variables) as server:
        supervisor = Path(f"/proc/{server.process.pid}")
        assert b"s3cret" in (supervisor / "environ").read_bytes()
        (worker,) = server.workers()
        for told in ("environ", "cmdline"):
            content = Path(f"/proc/{worker.pid}/{told}").read_bytes()
            assert b"s3cret" not in content
            assert b"ledger.db" not in content
            assert b"CHAMPION" not in content


@pytest.mark.sweep
def test_the_stores_copies_are_followed_only_if_the_ledger_has_them(in_state: InState) -> None:
    project = in_state("promoted twice")
    with serving(project) as server:
        pointer = Path(project.production.store.url) / POINTER
        live = pointer.read_bytes()
        earlier = next(row for row in project.production.rows if row.action == "promote")
        pointer.write_bytes(earlier.as_json())
        assert POINTER in server.await_message("warning", 20)
        assert server.predict()["version"] == "v2"
        pointer.write_bytes(live)
        shutil.copy(pointer, pointer.with_name("rollout.json"))
        assert "rollout.json" in server.await_message("warning", 20)
        assert server.predict()["version"] == "v2"
        # What a store can say, with hashes that fit.
        registry = project.production
        live_row = read_pointer(registry.environment)
        assert live_row is not None
        for shadow, versions in (("v9", {}), ("v9", None), (None, {"v9": {}})):
            details = {
                "base": live_row.hash,
                "flags": {"flags": {}},
                "percents": {},
                "versions": versions,
                "shadow": shadow,
            }
            row = registry.ledger.make_row(0, "", "rollout", reason=None, environment="production", details=details)
            pointer.with_name("rollout.json").write_bytes(row.as_json())
            time.sleep(1)
            assert server.predict(user_id="user-1")["version"] == "v2"
        pointer.with_name("rollout.json").write_text("[" * 1000 + "]" * 1000)
        pointer.with_name("keys.json").write_text('{"details": ' * 600 + "1" + "}" * 600)
        server.await_message("keys.json", 20)
        assert server.predict()["version"] == "v2"
