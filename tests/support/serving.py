"""A real `champion serve` on a free port of this machine."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from champion.delivery.keys import add
from support.delivery import DeliveryProject, project_in_state

CHAMPION = Path(sys.executable).parent / "champion"
GREETING = re.compile(r"serves (\S+) at (http://\S+) with")
# A row of the invented table of `support.results`.
ROW: dict[str, Any] = {"income": 0.3, "age": -0.2, "noise": 0.1, "region": "north"}


class Server:
    """A running server, its messages so far, and a session of its client with a valid API key."""

    def __init__(self, process: "subprocess.Popen[str]", key: str) -> None:
        self.process = process
        self.messages: list[str] = []
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"
        self._lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        self.url = ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def authorization(self) -> str:
        """The header of the client with the valid key."""
        return str(self.session.headers["Authorization"])

    def await_message(self, text: str, seconds: float = 30) -> str:
        """The first message with the text that was not awaited before."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=min(left, 0.5))
            except queue.Empty:
                assert self.process.poll() is None, "\n".join(self.messages)
                continue
            if text in line:
                return line
        raise AssertionError(f"no message {text!r} in:\n" + "\n".join(self.messages))

    def post(self, **body: Any) -> requests.Response:
        return self.session.post(f"{self.url}/v1/predict", json=body, timeout=30)

    def say(self, **body: Any) -> requests.Response:
        """The answer to what is said of outcomes."""
        return self.session.post(f"{self.url}/v1/outcomes", json=body, timeout=10)

    def predict(self, row: dict[str, Any] | None = None, user_id: str | None = None) -> dict[str, Any]:
        """The answer for one row."""
        answer = self.post(row=ROW | (row or {}), user_id=user_id)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def await_version(self, version: str) -> None:
        """Wait until the server answers with the version: several times, as a new connection may reach any worker."""
        await_true(lambda: {self._ask_anew() for _ in range(8)} == {version})

    def await_leaving(self) -> None:
        """Wait until the server has begun to end, or nobody listens any more."""
        await_true(self._is_leaving)

    def _is_leaving(self) -> bool:
        try:
            return requests.get(f"{self.url}/health/ready", timeout=5).status_code == 503
        except requests.ConnectionError:
            return True

    def _ask_anew(self) -> str:
        headers = dict(self.session.headers)
        answer = requests.post(f"{self.url}/v1/predict", json={"row": ROW}, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["version"])

    def workers(self) -> list[psutil.Process]:
        """The worker processes; the smoke test leaves a child of its own."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "champion.serving.worker" in child.cmdline()]

    def metric(self, name: str) -> dict[str, float]:
        """The values of a metric, by the text of its labels."""
        text = requests.get(f"{self.url}/metrics", timeout=10).text
        found = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return {labels: float(value) for labels, value in found}

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.messages.append(line.rstrip())
            self._lines.put(line.rstrip())


def await_true(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until it holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.05)


def edit_serving(project: DeliveryProject, **settings: float) -> None:
    """Let every environment's server have these settings."""
    path = project.root / "config/environments.yaml"
    text = path.read_text().replace("    serving: { keys_required: false }\n", "")
    path.write_text(text.replace("thresholds:", f"serving: {json.dumps(settings)}\n    thresholds:"))


def set_predictions(project: DeliveryProject, settings: str) -> None:
    """Let production log as these settings say, written as YAML."""
    path = project.root / "config/environments.yaml"
    key = "users_key: ${CHAMPION_USERS_KEY}\n"
    path.write_text(path.read_text().replace(key, f"{key}    predictions: {settings}\n"))


@contextmanager
def serving(
    project: DeliveryProject, environment: str = "production", workers: int = 1, caller: str = "tests", **variables: str
) -> Iterator[Server]:
    """A server of the environment, with a new API key for the caller, during the block."""
    _, key = add(project.production if environment == "production" else project.staging, caller)
    command = [str(CHAMPION), "serve", "--env", environment, "--port", "0", "--workers", str(workers)]
    process = subprocess.Popen(
        command,
        cwd=project.root,
        env=os.environ | {"ENVIRONMENT": environment} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = Server(process, key)
    try:
        greeting = GREETING.search(server.await_message("serves v"))
        assert greeting is not None
        server.url = greeting[2]
        with server.session:
            yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        finally:
            process.kill()
            server.reader.join()
            process.stdout.close()  # type: ignore[union-attr]


@contextmanager
def serving_apart(folder: Path, results: Path, shared: Path) -> Iterator[Server]:
    """A server of production in a folder of its own, for the tests of a module that leave it as it is."""
    with (
        pytest.MonkeyPatch.context() as patch,
        serving(project_in_state("promoted", folder, results, shared, patch)) as server,
    ):
        yield server
