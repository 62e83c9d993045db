"""Each request of a connection is answered once, in its order, by its own headers, and leaves nothing behind."""

import json
import random
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.delivery import project_in_state
from support.serving import ROW, Server, await_true, edit_serving, serving
from support.wire import CLOSE, Wire, as_bytes, body_of, connect, read_all, read_problem, statuses, talk

SECONDS = 2
MANY_ROWS = json.dumps({"rows": [ROW] * 1000})
PAGE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNK = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
WITHOUT_KEY = "POST /v1/predict HTTP/1.1\r\nContent-Length: {}\r\n{}\r\n"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, results: Path, shared: Path) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        project = project_in_state("promoted", tmp_path_factory.mktemp("connections"), results, shared, patch)
        edit_serving(project, request_seconds=SECONDS, requests_per_second=1_000_000)
        with serving(project) as one:
            for _ in range(20):
                one.post(rows=[ROW] * 1000)
            yield one


@pytest.fixture
def server(started: Server) -> Iterator[Server]:
    yield started
    started.predict()
    assert "Traceback" not in "\n".join(started.messages)


def without_key(body: bytes = b"", *headers: str) -> bytes:
    return WITHOUT_KEY.format(len(body), "".join(f"{header}\r\n" for header in headers)).encode() + body


def memory(server: Server) -> int:
    return sum(worker.memory_info().rss for worker in server.workers())


def read_one(wire: Wire) -> bytes:
    """An answer whose body is JSON, of a connection that stays."""
    answered = b""
    while not answered.endswith(b"}"):
        answered += wire.recv(1 << 16)
    return answered


def reset(wire: Wire) -> None:
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_a_key_is_checked_before_a_body_that_comes_late(server: Server) -> None:
    (worker,) = server.workers()
    for size in (100_000, 150_000, 200_000):
        asks = without_key(json.dumps({"rows": [ROW] * 100}).encode().ljust(size))
        with connect(server) as wire:
            # The server reads the rest of the body just when it has answered the page.
            worker.send_signal(signal.SIGSTOP)
            try:
                wire.sendall(PAGE + asks)
            finally:
                worker.send_signal(signal.SIGCONT)
            answered = read_one(wire)
            while len(statuses(answered)) < 2:
                answered += read_one(wire)
            # An answer that took a thread would come before that of the last request.
            wire.sendall(as_bytes(server, MANY_ROWS, CLOSE))
            assert statuses(answered + read_all(wire)) == [200, 401, 200]


def test_answers_come_in_order_however_the_requests_arrive(server: Server) -> None:
    def ask(number: int, kind: str) -> bytes:
        id_ = f"x-request-id: n{number}"
        asks = {
            "page": as_bytes(server, "", id_, start="GET /none HTTP/1.1"),
            "row": as_bytes(server, body_of(), id_),
            "rows": as_bytes(server, MANY_ROWS, id_),
            "wrong": as_bytes(server, "{}", id_),
            "no key": without_key(b"{}", id_),
            "chunks": as_bytes(
                server, f"{len(body_of()):x}\r\n{body_of()}\r\n0\r\n\r\n", id_, "Transfer-Encoding: chunked"
            ),
            "head": as_bytes(server, "", id_, start="HEAD /v1/predict HTTP/1.1"),
            "upgrade": as_bytes(server, body_of(), id_, "Connection: upgrade", "Upgrade: h2c"),
            "form": as_bytes(server, "a=1", id_, "Content-Type: application/x-www-form-urlencoded"),
            "percent": as_bytes(server, body_of(), id_, start="POST http://x/v1/%70redict?a=b HTTP/1.1"),
        }
        return asks[kind]

    expected = {"page": 404, "row": 200, "rows": 200, "wrong": 422, "no key": 401, "chunks": 200, "head": 405}
    expected |= {"upgrade": 200, "form": 415, "percent": 200}
    chance = random.Random(1)  # noqa: S311
    for _ in range(40):
        kinds = chance.choices(list(expected), k=30)
        sent = b"".join(ask(number, kind) for number, kind in enumerate(kinds)) + as_bytes(server, body_of(), CLOSE)
        cuts = sorted(chance.choices(range(len(sent)), k=chance.choice([0, 3, 30])))
        answered = talk(server, *(sent[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)))
        assert statuses(answered) == [*(expected[kind] for kind in kinds), 200]
        numbers = re.findall(rb"x-request-id: n(\d+)\r\n", answered)
        assert [int(number) for number in numbers] == list(range(30))


def test_many_refused_requests_are_each_answered(server: Server) -> None:
    last = as_bytes(server, body_of(), CLOSE)
    upgrade = without_key(b"", "Connection: upgrade", "Upgrade: x")
    assert statuses(talk(server, without_key() * 3000 + last)) == [401] * 3000 + [200]
    assert statuses(talk(server, upgrade * 3000 + last)) == [401] * 3000 + [200]
    assert statuses(talk(server, PAGE + without_key(b"{}") * 90 + last)) == [200] + [401] * 90 + [200]


def test_a_refusal_says_that_the_connection_ends(server: Server) -> None:
    assert b"\r\nconnection: close\r\n" in talk(server, without_key(b"{}", CLOSE))
    assert b"\r\nconnection: close\r\n" in talk(server, without_key().replace(b"1.1", b"1.0"))
    assert statuses(talk(server, as_bytes(server, body_of(), "Connection: close, upgrade", "Upgrade: h2c"))) == [200]


def test_a_client_that_does_not_wait_for_100_gets_its_refusal(server: Server) -> None:
    large = b" " * 20_000_000
    read_problem(talk(server, without_key(large, "Expect: 100-continue")), 401)
    assert statuses(talk(server, PAGE + without_key(large, "Expect: 100-continue"))) == [200, 401]
    read_problem(talk(server, without_key(b"{}", "Expect: 100-continue") + PAGE), 401)


def test_a_client_of_http_1_0_is_not_told_to_continue(server: Server) -> None:
    old = as_bytes(server, body_of(), "Expect: 100-continue", start="POST /v1/predict HTTP/1.0")
    assert statuses(talk(server, old)) == [200]


@pytest.mark.parametrize("start", ["without a key", "while an earlier request runs"])
def test_a_body_that_nobody_wants_takes_no_memory(server: Server, start: str) -> None:
    chunked = ["Transfer-Encoding: chunked"]
    unwanted = b"POST /v1/predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    earlier = as_bytes(server, MANY_ROWS) * 5 + as_bytes(server, b"", *chunked)
    before = memory(server)
    with connect(server) as wire:
        wire.sendall(unwanted if start == "without a key" else earlier)
        for _ in range(200):
            wire.sendall(CHUNK)
        assert memory(server) - before < 50_000_000
        reset(wire)


@pytest.mark.parametrize("end", ["closed", "reset", "kept"])
def test_a_connection_keeps_no_body_that_was_answered(server: Server, end: str) -> None:
    request = as_bytes(server, body_of().ljust(1_000_000))
    wires, before = [], memory(server)
    for _ in range(150):
        wire = connect(server)
        wires.append(wire)
        wire.sendall(request)
        assert statuses(read_one(wire)) == [200]
        if end == "reset":
            reset(wire)
        if end != "kept":
            wire.close()
    assert memory(server) - before < 50_000_000
    for wire in wires:
        wire.close()


def test_a_client_that_reads_no_more_is_ended(server: Server) -> None:
    (worker,) = server.workers()
    with connect(server) as wire:
        port = wire.getsockname()[1]

        def send() -> None:
            try:
                while True:
                    wire.sendall(as_bytes(server, MANY_ROWS))
            except OSError:
                return

        def is_connected() -> bool:
            return any(one.raddr and one.raddr.port == port for one in worker.net_connections())

        wire.settimeout(30)
        sending = threading.Thread(target=send)
        sending.start()
        # Long enough for the server to wait for it, and to go on, several times.
        for _ in range(200):
            assert wire.recv(1 << 16)
        # The system's own buffers must be full first.
        await_true(lambda: not is_connected(), 60)
        sending.join()
