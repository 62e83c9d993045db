"""Deployments that are killed, disconnected, short of disk or concurrent always leave one complete, recorded model."""

import json
import subprocess
import threading
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.delivery import deployment
from champion.registry.served import read_model, read_pointer
from support.delivery import DeliveryProject, InState, move_ledger
from support.warm import warm_programs

FAULTS = Path(__file__).parents[1] / "support/faults.py"


@pytest.fixture
def project(in_state: InState) -> DeliveryProject:
    """Three versions are registered, and staging serves the first."""
    return in_state("three registered, the first deployed")


@pytest.fixture
def in_postgresql(project: DeliveryProject, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> DeliveryProject:
    """The same, with its ledger in PostgreSQL."""
    move_ledger(project, postgresql_url)
    monkeypatch.setenv("CHAMPION_DATABASE_URL", postgresql_url)
    return project


@pytest.fixture(params=["project", "in_postgresql"], ids=["sqlite", "postgresql"])
def on_each(request: pytest.FixtureRequest) -> DeliveryProject:
    """The same, with its ledger in SQLite, then in PostgreSQL."""
    made: DeliveryProject = request.getfixturevalue(request.param)
    return made


def run_faults(project: DeliveryProject, *arguments: str) -> dict[str, int]:
    """Run `faults.py`. Returns its summary."""
    what, *rest = arguments
    command = [str(warm_programs() / "python"), str(FAULTS), what, str(project.root), *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_a_kill_at_any_effect_leaves_one_whole_model(
    on_each: DeliveryProject,
) -> None:
    counts = run_faults(on_each, "kill")
    assert counts["stopped"] >= 10
    assert counts["switched when stopped"] >= 3
    assert counts["repaired"] >= 1


@pytest.mark.sweep
def test_a_rollback_that_was_killed_and_is_repeated_goes_back_once(on_each: DeliveryProject) -> None:
    counts = run_faults(on_each, "rollback")
    assert 2 <= counts["went back when stopped"] < counts["stopped"]


@pytest.mark.sweep
def test_a_repair_that_was_killed_is_completed_by_the_next_command(on_each: DeliveryProject) -> None:
    counts = run_faults(on_each, "repair")
    assert counts["v1"] >= 10
    assert counts["v3"] >= 3


@pytest.mark.sweep
def test_a_change_of_rollout_or_keys_that_was_killed_happened_whole_or_never(project: DeliveryProject) -> None:
    counts = run_faults(project, "beside")
    assert counts["done"] >= 5
    assert counts["never happened"] >= 10


def test_a_stop_without_a_ledger_is_never_undone_by_a_kill(project: DeliveryProject) -> None:
    counts = run_faults(project, "stop")
    assert counts["stopped"] >= 1
    assert counts["recorded when killed"] >= 1
    assert counts["recorded by the next"] >= 2


def test_an_acceptance_that_was_killed_can_be_repeated(on_each: DeliveryProject) -> None:
    counts = run_faults(on_each, "accept")
    assert counts["broken"] >= 3
    assert counts["accepted"] >= 1


@pytest.mark.sweep
def test_a_kill_in_a_first_delivery_is_repaired_by_the_next(
    project: DeliveryProject,
) -> None:
    assert run_faults(project, "register")["stopped"] >= 15


def test_a_dropped_database_connection_leaves_the_old_model_serving(
    in_postgresql: DeliveryProject,
) -> None:
    assert run_faults(in_postgresql, "disconnect")["stopped"] >= 3


@pytest.mark.sweep
def test_a_kill_at_any_line_leaves_one_whole_model(
    on_each: DeliveryProject,
) -> None:
    assert run_faults(on_each, "kill", "2")["switched when stopped"] > 5


@pytest.mark.sweep
def test_a_change_of_rollout_or_keys_that_was_killed_in_postgresql_happened_whole_or_never(
    in_postgresql: DeliveryProject,
) -> None:
    assert run_faults(in_postgresql, "beside")["never happened"] >= 10


@pytest.mark.sweep
def test_a_kill_at_any_line_of_a_first_delivery_is_repaired(project: DeliveryProject) -> None:
    assert run_faults(project, "register", "5")["stopped"] > 40


@pytest.mark.sweep
def test_a_connection_dropped_at_any_line_leaves_the_old_model_serving(
    in_postgresql: DeliveryProject,
) -> None:
    assert run_faults(in_postgresql, "disconnect", "2")["stopped"] > 30


def test_a_full_disk_leaves_the_old_model_serving(project: DeliveryProject) -> None:
    counts = run_faults(project, "full")
    assert counts["refused"] >= 10
    assert counts["done"] >= 4


def test_of_two_deployments_at_once_one_wins_and_one_is_told(on_each: DeliveryProject) -> None:
    assert run_faults(on_each, "race") == {"won": 5}


def test_many_processes_leave_a_sound_ledger_and_readers_see_whole_models(on_each: DeliveryProject) -> None:
    assert run_faults(on_each, "swarm")["done"] >= 5


def test_processes_that_append_at_once_are_put_in_a_row(on_each: DeliveryProject) -> None:
    assert run_faults(on_each, "append") == {"appended": 30}


def test_threads_read_whole_models_while_another_switches(project: DeliveryProject) -> None:
    done, seen, broken = threading.Event(), set(), []

    def read() -> None:
        while not done.is_set():
            try:
                row = read_pointer(project.staging.environment)
                read_model(project.staging.environment, row)
                seen.add(row.version)
            except UserError as error:
                broken.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(20):
        deployment.deploy(project.staging, f"v{2 - turn % 2}")
    done.set()
    for reader in readers:
        reader.join()
    assert broken == []
    assert seen == {"v1", "v2"}
