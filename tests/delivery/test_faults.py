"""Deployments that are killed, disconnected, short of disk or concurrent always leave one complete, recorded model."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.delivery import deployment
from champion.delivery.register import register
from champion.registry.served import read_model, read_pointer
from support.delivery import DeliveryProject

FAULTS = Path(__file__).parents[1] / "support/faults.py"


def run_faults(delivery_project: DeliveryProject, *arguments: str) -> dict[str, int]:
    """Register three versions, serve the first, then run `faults.py`. Returns its summary."""
    for result in ("weak", "strong", "same"):
        delivery_project.use_result(result)
        register(delivery_project.staging)
    deployment.deploy(delivery_project.staging, "v1")
    what, *rest = arguments
    command = [sys.executable, str(FAULTS), what, str(delivery_project.root), *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_a_kill_at_any_effect_leaves_one_whole_model(
    on_each_database: DeliveryProject,
) -> None:
    counts = run_faults(on_each_database, "kill")
    assert counts["stopped"] >= 10
    assert counts["switched when stopped"] >= 3
    assert counts["repaired"] >= 1


def test_a_rollback_that_was_killed_and_is_repeated_goes_back_once(on_each_database: DeliveryProject) -> None:
    counts = run_faults(on_each_database, "rollback")
    assert 2 <= counts["went back when stopped"] < counts["stopped"]


def test_a_repair_that_was_killed_is_completed_by_the_next_command(on_each_database: DeliveryProject) -> None:
    counts = run_faults(on_each_database, "repair")
    assert counts["v1"] >= 10
    assert counts["v3"] >= 3


def test_a_change_of_rollout_or_keys_that_was_killed_happened_whole_or_never(delivery_project: DeliveryProject) -> None:
    counts = run_faults(delivery_project, "beside")
    assert counts["done"] >= 5
    assert counts["never happened"] >= 10


def test_a_stop_without_a_ledger_is_never_undone_by_a_kill(delivery_project: DeliveryProject) -> None:
    counts = run_faults(delivery_project, "stop")
    assert counts["stopped"] >= 1
    assert counts["recorded when killed"] >= 1
    assert counts["recorded by the next"] >= 2


def test_an_acceptance_that_was_killed_can_be_repeated(on_each_database: DeliveryProject) -> None:
    counts = run_faults(on_each_database, "accept")
    assert counts["broken"] >= 3
    assert counts["accepted"] >= 1


def test_a_kill_in_a_first_delivery_is_repaired_by_the_next(
    delivery_project: DeliveryProject,
) -> None:
    assert run_faults(delivery_project, "register")["stopped"] >= 15


def test_a_dropped_database_connection_leaves_the_old_model_serving(
    delivery_project: DeliveryProject, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAMPION_DATABASE_URL", postgresql_url)
    assert run_faults(delivery_project, "disconnect")["stopped"] >= 3


@pytest.mark.sweep
def test_a_kill_at_any_line_leaves_one_whole_model(
    on_each_database: DeliveryProject,
) -> None:
    assert run_faults(on_each_database, "kill", "2")["switched when stopped"] > 5


@pytest.mark.sweep
def test_a_change_of_rollout_or_keys_that_was_killed_in_postgresql_happened_whole_or_never(
    delivery_project: DeliveryProject, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAMPION_DATABASE_URL", postgresql_url)
    assert run_faults(delivery_project, "beside")["never happened"] >= 10


@pytest.mark.sweep
def test_a_kill_at_any_line_of_a_first_delivery_is_repaired(delivery_project: DeliveryProject) -> None:
    assert run_faults(delivery_project, "register", "5")["stopped"] > 40


@pytest.mark.sweep
def test_a_connection_dropped_at_any_line_leaves_the_old_model_serving(
    delivery_project: DeliveryProject, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAMPION_DATABASE_URL", postgresql_url)
    assert run_faults(delivery_project, "disconnect", "2")["stopped"] > 30


def test_a_full_disk_leaves_the_old_model_serving(delivery_project: DeliveryProject) -> None:
    counts = run_faults(delivery_project, "full")
    assert counts["refused"] >= 10
    assert counts["done"] >= 4


def test_of_two_deployments_at_once_one_wins_and_one_is_told(on_each_database: DeliveryProject) -> None:
    assert run_faults(on_each_database, "race") == {"won": 5}


def test_many_processes_leave_a_sound_ledger_and_readers_see_whole_models(on_each_database: DeliveryProject) -> None:
    assert run_faults(on_each_database, "swarm")["done"] >= 5


def test_processes_that_append_at_once_are_put_in_a_row(on_each_database: DeliveryProject) -> None:
    assert run_faults(on_each_database, "append") == {"appended": 30}


def test_threads_read_whole_models_while_another_switches(delivery_project: DeliveryProject) -> None:
    for result in ("weak", "strong"):
        delivery_project.use_result(result)
        register(delivery_project.staging)
    deployment.deploy(delivery_project.staging, "v1")
    done, seen, broken = threading.Event(), set(), []

    def read() -> None:
        while not done.is_set():
            try:
                row = read_pointer(delivery_project.staging.environment)
                read_model(delivery_project.staging.environment, row)
                seen.add(row.version)
            except UserError as error:
                broken.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(20):
        deployment.deploy(delivery_project.staging, f"v{2 - turn % 2}")
    done.set()
    for reader in readers:
        reader.join()
    assert broken == []
    assert seen == {"v1", "v2"}
