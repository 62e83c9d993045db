"""The DAG in dags/, read and run by Airflow in its own environment, and Airflow on this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.project import REPOSITORY, Project, built_once
from support.webhook import Webhook

STEPS = ["extract", "prepare", "validate", "train", "evaluate", "compare", "deploy"]
CHAMPION = Path(sys.executable).with_name("champion")
# A `champion` that notes what it is asked, and answers as a scenario says; only `notify` is the real command.
STAND_IN = f"""#!/bin/sh
echo "$*" >> "$CALLS"
case $1 in
notify) exec {CHAMPION} "$@" ;;
should-retrain) exit "$DUE" ;;
esac
test "$2" != "$FAILS"
"""
SCENARIOS = [{"DUE": "10", "FAILS": ""}, {"DUE": "10", "FAILS": "validate"}, {"DUE": "0", "FAILS": ""}]


@pytest.fixture(scope="session")
def airflow(shared: Path) -> Path:
    """The programs of Airflow's environment, which `make` installs once."""
    environment = REPOSITORY / ".airflow"

    def build() -> None:
        subprocess.run(["make", ".airflow/.installed"], cwd=REPOSITORY, check=True)

    built_once(shared / "airflow.done", build)
    return environment / "bin"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository, in which only `champion` is, and with the user's home."""
    folder = tmp_path_factory.mktemp("airflow")
    for name in ("home", "champion/.dvc", "champion/.git", "champion/.venv/bin"):
        (folder / name).mkdir(parents=True)
    program = folder / "champion/.venv/bin/champion"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def told() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture(scope="module")
def result(airflow: Path, folder: Path, told: Webhook) -> dict[str, Any]:
    """The DAG as Airflow read it, and one run of each scenario, with the commands that it ran."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    environment |= {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "CHAMPION_HOME": str(folder / "champion"),
        "CHAMPION_WEBHOOK_URL": told.url,
        "HOME": str(folder / "home"),
    }
    subprocess.run([airflow / "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    scenarios = [scenario | {"CALLS": str(folder / f"calls{n}")} for n, scenario in enumerate(SCENARIOS)]
    ran = subprocess.run(
        [airflow / "python", REPOSITORY / "tests/support/airflow_runs.py"],
        env=environment, input=json.dumps(scenarios), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found: dict[str, Any] = json.loads(ran.stderr.splitlines()[-1])
    for run, scenario in zip(found["runs"], scenarios, strict=True):
        run["calls"] = Path(scenario["CALLS"]).read_text().splitlines()
    return found


def test_the_dag_runs_once_a_day_and_never_beside_itself(result: dict[str, Any]) -> None:
    dag = result["dag"]
    assert (dag["import_errors"], dag["dags"]) == ({}, ["champion_retrain"])
    assert (dag["schedule"], dag["catchup"], dag["max_active_runs"]) == ("0 2 * * *", False, 1)
    assert dag["retries"] == [[2, 300]] * (1 + len(STEPS))


def test_each_step_is_one_command_after_the_step_before(result: dict[str, Any]) -> None:
    tasks = ["should_retrain", *STEPS]
    following = [*([one] for one in STEPS), []]
    assert result["dag"]["downstream"] == dict(zip(tasks, following, strict=True))
    commands = {step: result["dag"]["commands"][step] for step in STEPS}
    assert commands == {step: f".venv/bin/champion retrain {step}" for step in STEPS}


def test_a_due_retraining_runs_every_step(result: dict[str, Any]) -> None:
    due = result["runs"][0]
    assert due["state"] == "success"
    assert due["tasks"] == {task: ["success", 1] for task in ("should_retrain", *STEPS)}
    assert due["calls"] == ["should-retrain", *(f"retrain {step}" for step in STEPS)]


def test_a_failing_validation_is_tried_three_times_and_stops_what_follows(result: dict[str, Any]) -> None:
    failing = result["runs"][1]
    assert failing["state"] == "failed"
    assert failing["tasks"]["validate"] == ["failed", 3]
    assert {failing["tasks"][step][0] for step in STEPS[3:]} == {"upstream_failed"}
    assert [call for call in failing["calls"] if not call.startswith("notify")] == [
        "should-retrain",
        *(f"retrain {step}" for step in ("extract", "prepare", *["validate"] * 3)),
    ]


def test_the_webhook_hears_of_a_failure_once(result: dict[str, Any], told: Webhook) -> None:
    [text] = told.texts
    assert text.startswith("Airflow: validate of champion_retrain failed in manual__")


def test_a_retraining_that_is_not_due_skips_every_step_and_is_green(result: dict[str, Any]) -> None:
    idle = result["runs"][2]
    assert idle["state"] == "success"
    assert {state for state, _ in idle["tasks"].values()} == {"skipped"}
    assert idle["calls"] == ["should-retrain"]


def test_airflow_leaves_the_users_home_alone(result: dict[str, Any], folder: Path) -> None:
    assert list((folder / "home").iterdir()) == []


@pytest.mark.parametrize(("answer", "status"), [(10, 0), (0, 99), (1, 1), (2, 1)])
def test_an_error_is_not_taken_for_an_answer(answer: int, status: int, result: dict[str, Any], folder: Path) -> None:
    command = result["dag"]["commands"]["should_retrain"]
    environment = os.environ | {"DUE": str(answer), "CALLS": os.devnull}
    asked = subprocess.run(["bash", "-c", command], cwd=folder / "champion", env=environment, check=False)
    assert asked.returncode == status


def test_champion_airflow_says_how_to_install_it(small: Project) -> None:
    refused = small.champion("airflow", check=False)
    assert refused.returncode == 1
    assert refused.stderr == (
        "error: Airflow is not installed here. `make airflow` installs it in .airflow/ and starts it.\n"
    )


def test_champion_airflow_names_a_taken_port(small: Project, airflow: Path) -> None:
    (small.folder / ".airflow").symlink_to(airflow.parent)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = small.champion("airflow", "--port", port, check=False)
    assert refused.stderr == f"error: port {port} is taken. Choose another with --port.\n"
    assert not (small.folder / "var").exists()


@pytest.mark.sweep
def test_champion_airflow_serves_only_this_machine_and_ends_what_it_runs(small: Project, airflow: Path) -> None:
    import psutil
    import requests

    (small.folder / ".airflow").symlink_to(airflow.parent)
    program = small.folder / ".venv/bin/champion"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\ntouch var/airflow/running; sleep 600\n")
    program.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHAMPION")}
    server = subprocess.Popen([CHAMPION, "airflow", "--port", str(port)], cwd=small.folder, env=environment)
    try:
        url, home = f"http://127.0.0.1:{port}", small.folder / "var/airflow"
        wait_until((home / "simple_auth_manager_passwords.json.generated").exists, server)
        wait_until(lambda: is_answering(url), server)
        password = json.loads((home / "simple_auth_manager_passwords.json.generated").read_text())["admin"]
        token = requests.post(f"{url}/auth/token", json={"username": "admin", "password": password}, timeout=30).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        dag = f"{url}/api/v2/dags/champion_retrain"
        wait_until(lambda: requests.get(dag, headers=headers, timeout=30).ok, server)
        requests.patch(dag, headers=headers, json={"is_paused": False}, timeout=30).raise_for_status()
        requests.post(f"{dag}/dagRuns", headers=headers, json={"logical_date": None}, timeout=30).raise_for_status()
        wait_until((home / "running").exists, server)
        started = psutil.Process(server.pid).children(recursive=True)
        addresses = {place.laddr.ip for one in started for place in one.net_connections() if place.status == "LISTEN"}
        assert addresses == {"127.0.0.1"}
        assert any(one.name() == "sleep" for one in started)
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
        _, alive = psutil.wait_procs(started, timeout=10)
        assert alive == []
    finally:
        server.kill()
        server.wait()


def is_answering(url: str) -> bool:
    import requests

    try:
        return requests.get(f"{url}/api/v2/version", timeout=5).ok
    except requests.ConnectionError:
        return False


def wait_until(reached: Any, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert server.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
