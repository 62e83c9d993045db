"""Tracking to a real MLflow server, also when it is down; MLflow's page opens only on this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from champion.core.errors import UserError
from champion.core.files import read_parquet
from champion.delivery import deployment
from champion.delivery.audit import differences
from champion.delivery.register import register
from champion.table.features import to_frame
from champion.tracking import background_sync
from champion.tracking.client import connected, experiment_id
from champion.tracking.result import read_result
from champion.tracking.runs import track
from champion.tracking.ui import serve
from support.delivery import DeliveryProject
from support.project import Project
from support.tracking import aliases, development

# MLflow uses what SQLAlchemy and pandas are about to remove.
pytestmark = pytest.mark.filterwarnings("ignore")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(url: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
                assert answer.status == 200
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, "the server ended"
            time.sleep(0.2)
    pytest.fail(f"{url} does not answer")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a real MLflow server, and a function that stops it."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        str(tmp_path / "a"),
    ]
    env = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = (tmp_path / "server.log").open("w")
    with log, subprocess.Popen(command, env=env, stdout=log, stderr=log, text=True, start_new_session=True) as process:

        def stop() -> None:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)

        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}", stop
        finally:
            stop()


def test_a_server_is_tracked_to_and_mirrored_and_may_be_down(
    server: tuple[str, Callable[[], None]],
    delivery_project: DeliveryProject,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import mlflow

    address, stop = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    result = read_result(delivery_project.root)
    assert track(delivery_project.staging.environment, result).new
    assert not track(delivery_project.staging.environment, result).new
    register(delivery_project.staging)
    deployment.promote(delivery_project.production, "v1", emergency=True, reason="the first")
    assert differences(delivery_project.staging) == []
    assert aliases(delivery_project) == {"champion": "v1", "production": "v1"}
    with connected(delivery_project.staging.environment):
        model = mlflow.pyfunc.load_model("models:/champion@production")
    rows = read_parquet(delivery_project.root / "data/prepared/test.parquet").head(20)
    ours = delivery_project.staging.load_model("production")
    assert model.predict(to_frame(rows, ours.features)).tolist() == ours.predict(rows).tolist()

    stop()
    capsys.readouterr()
    assert deployment.deploy(delivery_project.staging, "v1").changed
    assert capsys.readouterr().err == (
        f"warning: MLflow cannot be reached, so its aliases are now out of date: {background_sync.REPAIR}.\n"
    )
    (difference,) = differences(delivery_project.staging)
    assert difference.startswith("the ledger cannot be compared with MLflow: MLflow of staging cannot be used")
    with pytest.raises(UserError, match="The address is hidden") as told:
        track(delivery_project.staging.environment, result)
    assert address not in str(told.value)


# Ctrl-C in a terminal reaches the whole group of processes; the other signals reach only the command.
@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(number, marks=pytest.mark.sweep) for number in (signal.SIGINT, signal.SIGHUP))],
)
@pytest.mark.sweep
def test_the_page_opens_on_the_runs_on_this_machine_only_and_a_signal_ends_it(
    number: signal.Signals, tracked: Project
) -> None:
    port = free_port()
    env = os.environ | {"PYTHONPATH": str(tracked.folder / "src")}
    command = [sys.executable, "-m", "champion", "ui", "--port", str(port)]
    # Under `nohup` the command would ignore it, as it should.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with subprocess.Popen(
        command,
        cwd=tracked.folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    ) as process:
        signal.signal(signal.SIGHUP, before)
        try:
            assert process.stdout is not None
            with connected(development(tracked)) as client:
                experiment = experiment_id(client, development(tracked))
            runs = f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs"
            assert process.stdout.readline() == f"MLflow's page starts in a few seconds: {runs} (Ctrl-C ends it)\n"
            wait_until_it_answers(f"http://127.0.0.1:{port}/", process)
            with socket.socket() as probe:
                # A server that listens on all addresses of this machine would answer here too.
                assert probe.connect_ex(("127.0.0.2", port)) != 0
            started = psutil.Process(process.pid).children(recursive=True)
            assert started
            send = os.killpg if number == signal.SIGINT else os.kill
            send(process.pid, number)
            assert process.wait(30) == 0
            assert psutil.wait_procs(started, 5)[1] == []
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_taken_port_and_a_server_are_told(tracked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is taken"):
            serve(development(tracked), port, print)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="tracks to a server"):
        serve(development(tracked), port, print)
