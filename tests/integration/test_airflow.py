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
from support.warm import warm_programs
from support.webhook import Webhook

pytestmark = pytest.mark.sweep

STEPS = ["extract", "prepare", "validate", "train", "evaluate", "compare", "deploy"]
CHAMPION = Path(sys.executable).with_name("champion")
# The real command, which also notes what it is asked.
NOTING = """#!/bin/sh
echo "$*" >> "$CALLS"
exec {champion} "$@"
"""


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
    """Where Airflow's home, the user's home and the projects are."""
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def told() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture(scope="module")
def runs(airflow: Path, folder: Path, small_run: Project, told: Webhook) -> dict[str, Any]:
    """The DAG and its run where a retraining is due, where its validation fails, and where it is not due."""
    due, failing = (small_run.copy_to(folder / name) for name in ("due", "failing"))
    failing.edit_params(lambda params: params["contract"].update(rows=[2000, 3000]))
    failing.commit("Ask for more rows than there are")
    # Without a version a retraining is due, and after it no more.
    projects = {"due": due, "failing": failing, "idle": due}
    scenarios = []
    for name, project in projects.items():
        install(project, NOTING.format(champion=warm_programs() / "champion"))
        scenarios.append({"CHAMPION_HOME": str(project.folder), "CALLS": str(folder / f"{name}.calls")})
    (folder / "home").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    environment |= {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "CHAMPION_WEBHOOK_URL": told.url,
        "HOME": str(folder / "home"),
    }
    subprocess.run([airflow / "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    ran = subprocess.run(
        [airflow / "python", REPOSITORY / "tests/support/airflow_runs.py"],
        env=environment, input=json.dumps(scenarios), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = dict(zip(projects, json.loads(ran.stderr.splitlines()[-1]), strict=True))
    for name, run in found.items():
        run |= {"calls": (folder / f"{name}.calls").read_text().splitlines(), "output": ran.stdout}
    return found


def install(project: Project, champion: str) -> None:
    """Make this script the project's `champion`."""
    program = project.folder / ".venv/bin/champion"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(champion)
    program.chmod(0o755)


def test_the_dag_runs_once_a_day_and_never_beside_itself(runs: dict[str, Any]) -> None:
    dag = runs["due"]["dag"]
    assert (dag["import_errors"], dag["dags"]) == ({}, ["champion_retrain"])
    assert (dag["schedule"], dag["catchup"], dag["max_active_runs"]) == ("0 2 * * *", False, 1)
    assert dag["retries"] == [[2, 300]] * (1 + len(STEPS))


def test_each_step_is_one_command_after_the_step_before(runs: dict[str, Any]) -> None:
    dag = runs["due"]["dag"]
    following = [*([one] for one in STEPS), []]
    assert dag["downstream"] == dict(zip(["should_retrain", *STEPS], following, strict=True))
    assert {step: dag["commands"][step] for step in STEPS} == {
        step: f".venv/bin/champion retrain {step}" for step in STEPS
    }


def test_a_due_retraining_takes_every_step_and_deploys(runs: dict[str, Any], folder: Path) -> None:
    due = runs["due"]
    assert due["state"] == "success", due["output"]
    assert due["tasks"] == {task: ["success", 1] for task in ("should_retrain", *STEPS)}
    assert due["calls"] == ["should-retrain", *(f"retrain {step}" for step in STEPS)]
    [status] = json.loads(Project(folder / "due").champion("status", "--env", "development", "--json").stdout)
    assert status["version"] == "v1"


def test_a_failing_validation_is_tried_three_times_and_stops_what_follows(runs: dict[str, Any], folder: Path) -> None:
    failing = runs["failing"]
    assert failing["state"] == "failed"
    assert failing["tasks"]["validate"] == ["failed", 3]
    assert {failing["tasks"][step][0] for step in STEPS[3:]} == {"upstream_failed"}
    calls = [call for call in failing["calls"] if not call.startswith("notify")]
    assert calls == ["should-retrain", "retrain extract", "retrain prepare", *["retrain validate"] * 3]
    [status] = json.loads(Project(folder / "failing").champion("status", "--env", "development", "--json").stdout)
    assert status["version"] is None


def test_the_webhook_hears_once_that_a_run_failed(runs: dict[str, Any], told: Webhook) -> None:
    [text] = [text for text in told.texts if text.startswith("Airflow: ")]
    assert text.startswith("Airflow: validate of champion_retrain failed in manual__")


def test_a_retraining_that_is_not_due_skips_every_step_and_is_green(runs: dict[str, Any]) -> None:
    idle = runs["idle"]
    assert idle["state"] == "success"
    assert {state for state, _ in idle["tasks"].values()} == {"skipped"}
    assert idle["calls"] == ["should-retrain"]


def test_airflow_leaves_the_users_home_alone(runs: dict[str, Any], folder: Path) -> None:
    assert [path.name for path in (folder / "home").iterdir() if "airflow" in path.name] == []


@pytest.mark.parametrize(("answer", "status"), [(10, 0), (0, 99), (1, 1), (2, 1)])
def test_an_error_is_not_taken_for_an_answer(answer: int, status: int, runs: dict[str, Any], small: Project) -> None:
    install(small, f"#!/bin/sh\nexit {answer}\n")
    command = runs["due"]["dag"]["commands"]["should_retrain"]
    assert subprocess.run(["bash", "-c", command], cwd=small.folder, check=False).returncode == status


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


def test_champion_airflow_serves_only_this_machine_and_ends_what_it_runs(small: Project, airflow: Path) -> None:
    import psutil
    import requests

    (small.folder / ".airflow").symlink_to(airflow.parent)
    install(small, "#!/bin/sh\ntouch var/airflow/running; sleep 600\n")
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
