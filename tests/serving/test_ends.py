"""No end of a process loses a request, and too many connections harm no other."""

import resource
import selectors
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import requests

from support.delivery import InState
from support.serving import Server, await_true, edit_serving, serving
from support.wire import Wire, as_bytes, body_of, connect, read_all, statuses


class _Load:
    """Clients that ask without a pause until nobody listens, and what became of their requests."""

    def __init__(self, server: Server, clients: int = 8) -> None:
        self.answers: Counter[str] = Counter()
        self._request = as_bytes(server, body_of())
        self._server = server
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._clients = [self._pool.submit(self._ask) for _ in range(clients)]

    def stop(self) -> Counter[str]:
        self._stopped.set()
        self.join()
        return self.answers

    def join(self) -> Counter[str]:
        for client in self._clients:
            client.result(timeout=60)
        self._pool.shutdown()
        return self.answers

    def _ask(self) -> None:
        while not self._stopped.is_set():
            try:
                with connect(self._server) as wire:
                    self._keep_asking(wire)
            except ConnectionRefusedError:
                self.answers["refused"] += 1
                return

    def _keep_asking(self, wire: Wire) -> None:
        for number in range(20):
            answered = b""
            try:
                wire.sendall(self._request)
                while not answered.endswith(b"}"):
                    part = wire.recv(1 << 16)
                    if not part:
                        break
                    answered += part
            except ConnectionError:
                # The server closed before it read the first request of a new connection.
                self.answers["never read" if number == 0 and not answered else "lost"] += 1
                return
            if statuses(answered) != [200]:
                self.answers["lost"] += 1
                return
            self.answers["answered"] += 1
            if b"connection: close" in answered:
                return


@pytest.fixture
def promoted(in_state: InState, tmp_path: Path) -> Iterator[Server]:
    """A server to be killed."""
    project = in_state("promoted")
    edit_serving(project, requests_per_second=1_000_000)
    with serving(project, workers=2, TMPDIR=str(tmp_path)) as one:
        yield one


def test_connections_that_are_too_many_harm_no_other(promoted: Server) -> None:
    most = 1800
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most + 500), hard))
    promoted.predict()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(most):
            selector.register(stack.enter_context(connect(promoted)), selectors.EVENT_READ)
        time.sleep(0.5)
        told = [key.fileobj for key, _ in selector.select(0)]
        answers = Counter(_first_line(wire) for wire in told if isinstance(wire, Wire))
        promoted.predict()
    assert 0 < len(told) <= most - 800
    assert answers[b"HTTP/1.1 503 Service Unavailable"] > 0
    assert set(answers) <= {b"HTTP/1.1 503 Service Unavailable", b""}
    await_true(lambda: requests.get(f"{promoted.url}/health/live", timeout=5).status_code == 200)


def _first_line(wire: Wire) -> bytes:
    try:
        return wire.recv(1 << 16).partition(b"\r\n")[0]
    except ConnectionResetError:
        return b""


def test_sigterm_loses_no_request(promoted: Server) -> None:
    load, request = _Load(promoted), as_bytes(promoted, body_of())
    with connect(promoted) as slow, connect(promoted) as idle:
        slow.sendall(request[:30])
        time.sleep(0.7)
        promoted.process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        # Nobody listens any more, or soon.
        idle.sendall(request)
        assert statuses(read_all(idle)) == [200]
        time.sleep(1.5)
        slow.sendall(request[30:])
        assert statuses(read_all(slow)) == [200]
    answers = load.join()
    assert promoted.process.wait(20) == 0
    assert answers["answered"] > 100
    assert answers["lost"] == 0, answers
    assert answers["never read"] <= 8, answers


def test_sigkill_of_a_worker_loses_only_what_it_was_doing(promoted: Server) -> None:
    load = _Load(promoted)
    time.sleep(0.5)
    before = {worker.pid for worker in promoted.workers()}
    promoted.workers()[0].kill()
    promoted.await_message("worker 0 ended (signal SIGKILL), and is started again")
    await_true(lambda: len({worker.pid for worker in promoted.workers()} - before) == 1)
    time.sleep(1.5)
    lost = load.answers["lost"] + load.answers["never read"]
    answered = load.answers["answered"]
    time.sleep(0.5)
    answers = load.stop()
    assert answers["refused"] == 0
    assert answers["answered"] > answered > 100
    assert answers["lost"] + answers["never read"] == lost <= 8


def test_a_worker_that_is_killed_while_it_starts_comes_again(promoted: Server) -> None:
    first, other = promoted.workers()
    first.kill()
    for seconds in (1, 2):
        promoted.await_message(f"worker 0 ended (signal SIGKILL), and is started again in {seconds} s")
        await_true(lambda: len(promoted.workers()) == 2)
        if seconds == 1:
            (starting,) = [worker for worker in promoted.workers() if worker.pid != other.pid]
            starting.kill()
        for _ in range(5):
            promoted.predict()
    (again,) = [worker for worker in promoted.workers() if worker.pid != other.pid]
    # It has the listening socket from its start, and others once it answers.
    wires: list[Wire] = []
    try:
        await_true(lambda: _reaches(promoted, again, wires), 20)
    finally:
        for wire in wires:
            wire.close()
    assert other.is_running()


def _reaches(server: Server, worker: psutil.Process, wires: list[Wire]) -> bool:
    """Whether a new connection is one to this worker."""
    wires.append(connect(server))
    wires[-1].sendall(b"GET /health/live HTTP/1.1\r\n\r\n")
    assert statuses(wires[-1].recv(1 << 16)) == [200]
    port = wires[-1].getsockname()[1]
    return any(one.raddr and one.raddr.port == port for one in worker.net_connections())


def test_a_refused_client_is_told_that_the_server_ends(promoted: Server) -> None:
    without_key = b"POST /v1/predict HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
    with connect(promoted) as wire:
        wire.sendall(without_key)
        before = wire.recv(1 << 16)
        wire.sendall(without_key[:10])
        promoted.process.send_signal(signal.SIGTERM)
        promoted.await_leaving()
        wire.sendall(without_key[10:] + without_key * 2)
        after = read_all(wire)
    assert (statuses(before), statuses(after)) == ([401], [401])
    assert b"\r\nconnection: close\r\n" not in before
    assert b"\r\nconnection: close\r\n" in after


def test_workers_end_after_their_requests_when_the_supervisor_is_killed(promoted: Server) -> None:
    workers = promoted.workers()
    load = _Load(promoted)
    time.sleep(0.5)
    promoted.process.kill()
    answers = load.join()
    _, alive = psutil.wait_procs(workers, timeout=15)
    assert alive == []
    assert answers["lost"] == 0, answers
    assert answers["never read"] <= 8, answers
