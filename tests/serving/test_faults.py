"""No client and no end of a process makes a server fail, hang, tell a secret or lose a request."""

import asyncio
import hashlib
import json
import re
import resource
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from champion.delivery import keys
from champion.environments import Serving
from champion.registry.api_keys import ApiKeys
from champion.registry.served import POINTER
from champion.serving import metrics
from champion.serving.app import App
from champion.serving.limits import RateLimit, make_file
from champion.serving.live_model import LiveModel, OpenVersion
from champion.serving.routing import Router
from champion.serving.state import State
from support.delivery import DeliveryProject, InState, project_in_state
from support.serving import CHAMPION, ROW, Server, await_true, serving

SECONDS, PER_SECOND = 1, 300
# What no answer may have: a traceback, a path of the machine, a name of a file of code.
TELLS_TOO_MUCH = re.compile(rb"Traceback|File \"|/tmp/|/home/|/usr/|site-packages|\.py\b|root:")
Wire = socket.socket


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, results: Path, shared: Path) -> Iterator[DeliveryProject]:
    with pytest.MonkeyPatch.context() as patch:
        made = project_in_state("promoted", tmp_path_factory.mktemp("faults"), results, shared, patch)
        _set(made, request_seconds=SECONDS, requests_per_second=PER_SECOND)
        yield made


@pytest.fixture(scope="module")
def server(project: DeliveryProject) -> Iterator[Server]:
    with serving(project, workers=2) as one:
        yield one


@pytest.fixture(scope="module")
def memory(server: Server) -> int:
    """What the server holds before it is attacked."""
    for _ in range(20):
        server.post(rows=[ROW] * 1000)
        requests.get(f"{server.url}/metrics", timeout=10)
    return _resident(server)


@pytest.fixture(autouse=True)
def sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a fault the server answers, and its log has no traceback."""
    is_attacked = "server" in request.fixturenames
    if is_attacked:
        request.getfixturevalue("memory")
    yield
    if is_attacked:
        attacked: Server = request.getfixturevalue("server")
        # The key's requests of this second may be used up.
        await_true(lambda: attacked.post(row=ROW).status_code == 200, 3)
        assert "Traceback" not in "\n".join(attacked.messages)


def _set(project: DeliveryProject, **settings: float) -> None:
    """Change settings of production's server, which is the last section of its file."""
    path = project.root / "config/environments.yaml"
    path.write_text(f"{path.read_text()}    serving: {json.dumps(settings)}\n")


def _workers(server: Server) -> list[psutil.Process]:
    # The smoke test leaves a child of its own.
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if "champion.serving.worker" in child.cmdline()]


def _resident(server: Server) -> int:
    return sum(worker.memory_info().rss for worker in _workers(server))


def _authorization(server: Server) -> str:
    return str(server.session.headers["Authorization"])


def _request(server: Server, body: bytes | str = b"", *headers: str, start: str = "POST /v1/predict HTTP/1.1") -> bytes:
    """The bytes of a request with a valid key."""
    content = body.encode() if isinstance(body, str) else body
    lines = [start, "Host: x", f"Authorization: {_authorization(server)}", *headers]
    if not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers):
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def _connect(server: Server) -> Wire:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def _talk(server: Server, *sent: bytes, pause: float = 0.0) -> bytes:
    """All that the server answers to these bytes until it closes."""
    with _connect(server) as wire:
        for part in sent:
            wire.sendall(part)
            time.sleep(pause)
        return _read_all(wire)


def _read_all(wire: Wire) -> bytes:
    answered = b""
    while part := wire.recv(1 << 16):
        answered += part
    return answered


def _seconds_to_send(wire: Wire, part: bytes, most: float) -> float:
    """How long the server lets a client send this again and again."""
    start = time.monotonic()
    while (seconds := time.monotonic() - start) < most:
        try:
            wire.sendall(part)
        except ConnectionError:
            break
        time.sleep(0.02)
    return seconds


def _statuses(answered: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answered)]


def _problem(answered: bytes, status: int) -> dict[str, Any]:
    """The only answer, which is a problem with this status and tells nothing about the machine."""
    assert _statuses(answered) == [status], answered[:500]
    assert not TELLS_TOO_MUCH.search(answered), answered[:500]
    head, _, body = answered.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    problem: dict[str, Any] = json.loads(body)
    assert problem["status"] == status
    assert problem["detail"].endswith(".")
    assert f"x-request-id: {problem['request_id']}".encode() in head
    return problem


def _text(row: dict[str, Any] | None = None, **body: Any) -> str:
    return json.dumps({"row": ROW | (row or {}), **body})


CLOSE = "Connection: close"
BODIES: dict[str, tuple[bytes | str, int]] = {
    "nothing": ("", 400),
    "half": ('{"row":', 400),
    "two values": (_text() + "{}", 400),
    "NaN": (_text({"age": float("nan")}), 400),
    "infinity": (_text({"age": float("inf")}), 400),
    "no UTF-8": (b'{"row":{"region":"\xff"}}', 400),
    "no UTF-8 as key": (b'{"\xff":1}', 400),
    "UTF-16": (_text().encode("utf-16"), 400),
    "half of a surrogate pair": (_text({"region": "\ud800"}), 400),
    "half of a surrogate pair as key": ('{"\\ud800": 1}', 400),
    "deep array": ('{"row":{"age":' + "[" * 100_000 + "]" * 100_000 + "}}", 400),
    "deep object": ('{"row":' + '{"age":' * 100_000 + "1" + "}" * 100_001, 400),
    "integer of 5,000 digits": (_text().replace("0.3", "9" * 5000), 422),
    "array": ("[]", 422),
    "null": ("null", 422),
    "text": ('"row"', 422),
    "neither row nor rows": ("{}", 422),
    "row and rows": (_text(rows=[ROW]), 422),
    "row null": ('{"row": null}', 422),
    "row as array": ('{"row": []}', 422),
    "no rows": ('{"rows": []}', 422),
    "rows as object": ('{"rows": {}}', 422),
    "user as number": (_text(user_id=1), 422),
    "user of a megabyte": (_text(user_id="u" * 1_000_000), 422),
    "unknown key": (_text(unknown=1), 422),
    "key of a megabyte": ('{"' + "k" * 1_000_000 + '": 1}', 422),
    "1,001 rows": (json.dumps({"rows": [{}] * 1001}), 413),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_wrong_body_is_refused(server: Server, name: str) -> None:
    body, status = BODIES[name]
    answered = _talk(server, _request(server, body, CLOSE))
    assert "no valid JSON" in _problem(answered, status)["detail"] or status != 400
    assert len(answered) < 1500


VALID: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "the last of two equal keys": (_text().replace('"age"', '"income": "x", "income": 0.3, "age"'), []),
    "10,000 more columns": (_text({f"column {number}": number for number in range(10_000)}), []),
    "1e999": (_text().replace("0.3", "1e999"), [("income", "invalid")]),
    "-1e999": (_text().replace("0.3", "-1e999"), [("income", "invalid")]),
    "integer of 400 digits": (_text().replace("0.3", "9" * 400), [("income", "invalid")]),
    "number of 50,000 digits": (_text().replace("0.3", "0.3" + "0" * 50_000), []),
    "NUL": (_text({"region": "\0"}), [("region", "unseen")]),
    "mark of a missing text": (_text({"region": "\ue000"}), [("region", "unseen")]),
    "mark of an unseen text": (_text({"region": "\ue001"}), [("region", "unseen")]),
    "other scripts": (_text({"region": "北\u202e\U0001f600"}), [("region", "unseen")]),
    "missing": (_text({"income": None, "region": None}), []),
}


@pytest.mark.parametrize("name", VALID)
def test_a_strange_value_is_answered_and_named(server: Server, name: str) -> None:
    body, warnings = VALID[name]
    answer = requests.post(
        f"{server.url}/v1/predict", body.encode(), headers={"Authorization": _authorization(server)}, timeout=10
    )
    assert answer.status_code == 200, answer.text
    (prediction,) = answer.json()["predictions"]
    assert [(one["field"], one["reason"]) for one in prediction["warnings"]] == warnings
    assert 0 < prediction["probability"] < 1


def test_each_wrong_value_is_named_by_row_and_field(server: Server) -> None:
    wrong: list[tuple[str, Any]] = [
        ("income", "1"),
        ("income", True),
        ("age", [1]),
        ("noise", {}),
        ("region", 1.5),
        ("region", []),
        ("region", {"a": None}),
    ]
    rows = [ROW | {field: value} for field, value in wrong]
    rows.append({name: value for name, value in ROW.items() if name != "noise"})
    answer = server.post(rows=rows)
    assert answer.status_code == 422
    found = [(one["row"], one["field"]) for one in answer.json()["errors"]]
    assert found == [(number, field) for number, (field, _) in enumerate([*wrong, ("noise", None)])]


def test_the_row_of_a_value_that_cannot_be_read_is_named(server: Server) -> None:
    text = json.dumps({"rows": [ROW, ROW | {"noise": 7}, ROW]}).replace("7", "7" * 5000)
    problem = _problem(_talk(server, _request(server, text, CLOSE)), 422)
    assert [one["row"] for one in problem["errors"]] == [1]


def test_errors_are_at_most_a_hundred_and_cost_little(server: Server) -> None:
    start = time.perf_counter()
    answer = server.post(rows=[ROW] * 900 + [{"unknown": 1}] * 100)
    assert time.perf_counter() - start < 1
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 100)
    assert answer.json()["detail"] == "100 values or more are wrong."


CHUNKED = "Transfer-Encoding: chunked"
REQUESTS: dict[str, tuple[list[str], bytes, int]] = {
    "longer than its length": (["Content-Length: 5", CLOSE], _text().encode(), 400),
    "two lengths": (["Content-Length: 5", "Content-Length: 6"], b"", 400),
    "length and chunks": (["Content-Length: 5", CHUNKED], b"0\r\n\r\n", 400),
    "length of 30 digits": (["Content-Length: " + "9" * 30], b"", 400),
    "negative length": (["Content-Length: -1"], b"", 400),
    "length in words": (["Content-Length: five"], b"", 400),
    "length after the body": ([CHUNKED], b"2\r\n{}\r\n0\r\nContent-Length: x\r\n\r\n", 400),
    "chunk without end": ([CHUNKED], b"zz\r\n", 400),
    "unknown coding": (["Transfer-Encoding: gzip"], b"", 400),
    "control characters as id": (["x-request-id: a\x0b"], b"", 400),
    "folded id": (["x-request-id: a\r\n b"], b"", 400),
    "id with a header": (["x-request-id: a\nset-cookie: b"], b"", 400),
    "header of 100 KB": (["x: " + "a" * 100_000], b"", 431),
    "10,000 headers": (["x: a"] * 10_000, b"", 431),
    "other content type": (["Content-Type: text/csv", CLOSE], b"a,b", 415),
    "form": (["Content-Type: application/x-www-form-urlencoded", CLOSE], b"row=1", 415),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_wrong_request_is_refused(server: Server, name: str) -> None:
    headers, body, status = REQUESTS[name]
    answered = _talk(server, _request(server, body, *headers))
    _problem(answered, status)
    assert b"set-cookie" not in answered


STARTS = {
    "GET /v1/predict HTTP/1.1": 405,
    "PUT /v1/model HTTP/1.1": 405,
    "DELETE /health/live HTTP/1.1": 405,
    "CONNECT x:443 HTTP/1.1": 400,
    "BREW /v1/predict HTTP/1.1": 400,
    "POST /v1/predict HTTP/9.9": 400,
    "POST": 400,
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": 400,
    "POST /v2/predict HTTP/1.1": 404,
    "POST /v1/predict/ HTTP/1.1": 404,
    "POST //v1/predict HTTP/1.1": 404,
    "GET /v1/model/ HTTP/1.1": 404,
    "GET /docs/assets HTTP/1.1": 404,
    "GET /docs/assets/ HTTP/1.1": 404,
    "GET /docs/assets/../../../../../../etc/passwd HTTP/1.1": 404,
    "GET /docs/assets/%2e%2e/%2e%2e/%2e%2e/__init__.py HTTP/1.1": 404,
    "GET /docs/assets/..%2f..%2f__init__.py HTTP/1.1": 404,
    "GET /docs/assets/..\\..\\__init__.py HTTP/1.1": 404,
    "GET /docs/assets//etc/passwd HTTP/1.1": 404,
    "GET //etc/passwd HTTP/1.1": 404,
    "GET http://example.org/etc/passwd HTTP/1.1": 404,
    "GET /docs/assets/%00 HTTP/1.1": 404,
    "GET /docs/assets/%ff%fe HTTP/1.1": 404,
    "GET /%0d%0aset-cookie:%20a HTTP/1.1": 404,
    f"GET /docs/assets/{'a' * 5000} HTTP/1.1": 404,
    f"GET /{'a' * 50_000} HTTP/1.1": 431,
}


@pytest.mark.parametrize("start", STARTS)
def test_no_address_leads_out_of_the_server(server: Server, start: str) -> None:
    answered = _talk(server, _request(server, b"", CLOSE, "Host: example.org", start=start))
    _problem(answered, STARTS[start])
    assert b"example.org" not in answered


def test_a_client_that_reads_nothing_before_all_is_sent_gets_its_answer(server: Server) -> None:
    large, chunk = b" " * 20_000_000, b"10000\r\n" + b" " * 65_536 + b"\r\n"
    last = _request(server, _text(), CLOSE)
    assert _statuses(_talk(server, _request(server, large) + last)) == [413, 200]
    assert _statuses(_talk(server, _request(server, chunk * 300 + b"0\r\n\r\n", CHUNKED) + last)) == [413, 200]
    assert _statuses(_talk(server, _request(server, large, CLOSE))) == [413]
    without_key = b"POST /v1/predict HTTP/1.%d\r\nConnection: close\r\nContent-Length: 20000000\r\n\r\n"
    assert _statuses(_talk(server, without_key % 1 + large)) == [401]
    assert _statuses(_talk(server, without_key % 0 + large)) == [401]


@pytest.mark.parametrize("after", ["the headers", "the body"])
def test_a_header_without_end_is_refused_at_once(server: Server, after: str) -> None:
    whole = _request(server, b"2\r\n{}\r\n0\r\n", CHUNKED)
    start = (whole if after == "the body" else whole[: whole.index(b"\r\n\r\n") + 2]) + b"x: "
    # The parser would copy all that came at each new piece.
    _problem(_talk(server, start + b"a" * 3_000_000), 431)


def test_what_follows_a_body_is_no_header(server: Server) -> None:
    body = b"%x\r\n%b\r\n0\r\nAuthorization: %b\r\n\r\n" % (
        len(_text()),
        _text().encode(),
        _authorization(server).encode(),
    )
    request = b"POST /v1/predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body
    _problem(_talk(server, request), 401)


@pytest.mark.parametrize("id_", ["a", "A.b_c-1", "x" * 64])
def test_a_plain_request_id_is_given_back(server: Server, id_: str) -> None:
    answered = _talk(server, _request(server, _text(), f"X-Request-Id: {id_}", CLOSE))
    assert f"x-request-id: {id_}\r\n".encode() in answered
    assert json.loads(answered.partition(b"\r\n\r\n")[2])["request_id"] == id_
    _problem(_talk(server, _request(server, "", f"x-request-id: {id_}", CLOSE, start="GET /none HTTP/1.1")), 404)


@pytest.mark.parametrize("id_", ["", "x" * 65, "a b", "é", '"', "<script>"])
def test_any_other_request_id_is_replaced(server: Server, id_: str) -> None:
    answered = _talk(server, _request(server, _text(), f"X-Request-Id: {id_}", CLOSE))
    assert re.search(rb"\r\nx-request-id: [0-9a-f]{32}\r\n", answered)


def test_each_dialect_of_http_is_answered(server: Server) -> None:
    body = _text()
    one = _request(server, body)
    last = _request(server, body, CLOSE)
    old = _request(server, body, start="POST /v1/predict HTTP/1.0")
    # Java's client asks so with each first request.
    upgrade = _request(server, body, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA")
    web_socket = _request(server, "", "Connection: upgrade", "Upgrade: websocket", start="GET /v1/model HTTP/1.1")
    assert _statuses(_talk(server, one, one, last)) == [200] * 3
    assert _statuses(_talk(server, one + one + last)) == [200] * 3
    assert _statuses(_talk(server, old)) == [200]
    assert _statuses(_talk(server, upgrade + last)) == [200] * 2
    assert _statuses(_talk(server, upgrade[:-20], upgrade[-20:], last, pause=0.1)) == [200] * 2
    assert _statuses(_talk(server, web_socket + last)) == [200] * 2
    assert _statuses(_talk(server, *(last[at : at + 7] for at in range(0, len(last), 7)))) == [200]


def test_a_request_that_is_no_http_takes_no_answer_from_the_one_before(server: Server) -> None:
    rows = _request(server, json.dumps({"rows": [ROW] * 1000}))
    assert _statuses(_talk(server, rows + b"rubbish\r\n\r\n")) == [200]
    assert _statuses(_talk(server, rows + rows + _request(server, "z\r\n", CHUNKED))) == [200, 200]


@pytest.mark.parametrize(
    "ask", ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"]
)
def test_a_client_may_have_only_so_many_requests_waiting(server: Server, ask: str) -> None:
    statuses = Counter(_statuses(_talk(server, ask.encode() * 5000)))
    assert set(statuses) == {404}
    assert 100 <= statuses[404] <= 102


def test_a_client_that_asks_before_it_sends_is_answered(server: Server) -> None:
    asks = _request(server, _text(), "Expect: 100-continue", CLOSE)
    at = asks.index(b"\r\n\r\n") + 4
    assert _statuses(_talk(server, asks[:at], asks[at:], pause=0.1)) == [100, 200]
    # Refused, it may send another request instead of the body.
    refused = b"POST /v1/predict HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99\r\n\r\n"
    _problem(_talk(server, refused), 401)


SLOW: dict[str, tuple[bytes, bytes]] = {
    "a byte of a header at a time": (b"GET /health/live HTTP/1.1\r\n", b"x"),
    "a header at a time": (b"GET /health/live HTTP/1.1\r\n", b"x: y\r\n"),
    "a byte of the body at a time": (
        b"POST /v1/predict HTTP/1.1\r\nAuthorization: KEY\r\nContent-Length: 900\r\n\r\n",
        b" ",
    ),
    "a chunk at a time": (
        b"POST /v1/predict HTTP/1.1\r\nAuthorization: KEY\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
    ),
    "a second request that does not end": (b"GET /health/live HTTP/1.1\r\n\r\nGET /", b"x"),
}


def test_a_request_that_takes_too_long_is_ended(server: Server) -> None:
    with ThreadPoolExecutor(len(SLOW)) as pool:
        for ended in [pool.submit(_await_end, server, *sent) for sent in SLOW.values()]:
            ended.result()


def _await_end(server: Server, first: bytes, drop: bytes) -> None:
    """Send a drop from time to time, until the server refuses to wait any longer."""
    with _connect(server) as wire:
        wire.settimeout(SECONDS / 10)
        wire.sendall(first.replace(b"KEY", _authorization(server).encode()))
        start, answered = time.monotonic(), b""
        while b" 408 " not in answered:
            assert time.monotonic() < start + SECONDS + 1.5, (drop, answered)
            wire.sendall(drop)
            try:
                answered += wire.recv(1 << 16)
            except TimeoutError:
                continue
    assert time.monotonic() > start + SECONDS * 0.9
    _problem(answered[answered.rindex(b"HTTP/1.1") :], 408)


def test_a_refused_client_that_goes_on_sending_gets_one_answer(server: Server) -> None:
    with _connect(server) as wire:
        wire.sendall(b"POST /v1/predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        time.sleep(SECONDS / 2)
        wire.sendall(b"1\r\n \r\n")
        time.sleep(SECONDS)
        _problem(_read_all(wire), 401)
        assert _seconds_to_send(wire, b"1\r\n \r\n", most=5) < 4


def test_a_silent_client_is_ended_without_an_answer(server: Server) -> None:
    start = time.monotonic()
    assert _talk(server) == b""
    assert SECONDS * 0.9 < time.monotonic() - start < SECONDS + 1


def test_a_client_that_never_reads_is_ended(server: Server) -> None:
    asks = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\n\r\n"
    before = [len(worker.net_connections()) for worker in _workers(server)]
    with _connect(server) as wire:
        wire.sendall(asks * 20)
        await_true(lambda: [len(worker.net_connections()) for worker in _workers(server)] != before, 2)
        await_true(lambda: [len(worker.net_connections()) for worker in _workers(server)] == before, SECONDS + 3)


def test_200_clients_at_once_are_all_answered(server: Server) -> None:
    # In one second of the rate limit, and before a silent connection ends.
    time.sleep(1 - time.monotonic() % 1)
    wires = [_connect(server) for _ in range(200)]
    for wire in wires:
        wire.sendall(_request(server, _text(), CLOSE))
    assert [_statuses(_read_all(wire)) for wire in wires] == [[200]] * 200
    for wire in wires:
        wire.close()


def test_clients_that_go_away_do_no_harm(server: Server) -> None:
    whole = _request(server, json.dumps({"rows": [ROW] * 1000}))
    for end in (10, 100, len(whole) // 2, len(whole) - 1, len(whole)):
        for _ in range(10):
            with _connect(server) as wire:
                wire.sendall(whole[:end])
                # Half of them with a reset.
                if _ % 2:
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


WRONG_KEYS = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    "Basic KEY",
    "KEY",
    "Bearer KEYx",
    "Bearer \xe9\xff",
    "Bearer KEY KEY",
]


@pytest.mark.parametrize("wrong", [*WRONG_KEYS, "Bearer " + "k" * 30_000])
def test_a_wrong_key_is_refused(server: Server, wrong: str) -> None:
    key = _authorization(server).removeprefix("Bearer ")
    lines = ["POST /v1/predict HTTP/1.1", "Authorization: " + wrong.replace("KEY", key), "Content-Length: 0", CLOSE]
    problem = _problem(_talk(server, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"), 401)
    assert key not in json.dumps(problem)


def _connect_to_each_worker(server: Server, number: int) -> list[Wire]:
    """So many connections to each worker, which stay open."""
    kept: dict[int, list[Wire]] = {worker.pid: [] for worker in _workers(server)}
    until = time.monotonic() + 10
    while any(len(wires) < number for wires in kept.values()):
        assert time.monotonic() < until, "a worker takes no connection"
        wires = {wire.getsockname()[1]: wire for wire in [_connect(server) for _ in range(20)]}
        for wire in wires.values():
            wire.sendall(b"GET /health/live HTTP/1.1\r\n\r\n")
        for wire in wires.values():
            while not wire.recv(1 << 16).endswith(b"}"):
                pass
        for worker in _workers(server):
            for connection in worker.net_connections():
                if connection.raddr and connection.raddr.port in wires and len(kept[worker.pid]) < number:
                    kept[worker.pid].append(wires.pop(connection.raddr.port))
        for wire in wires.values():
            wire.close()
    return [wire for wires in kept.values() for wire in wires]


def test_a_key_may_ask_so_often_in_a_second_over_all_workers(project: DeliveryProject, server: Server) -> None:
    _, other = keys.add(project.production, "other")
    mine, others = _request(server, _text()), {"Authorization": f"Bearer {other}"}
    await_true(lambda: requests.get(f"{server.url}/v1/model", headers=others, timeout=5).status_code == 200)
    statuses: Counter[int] = Counter()
    for _ in range(5):
        wires = _connect_to_each_worker(server, 10)
        # Just after a new second has begun.
        time.sleep(1.02 - time.monotonic() % 1)
        second = int(time.monotonic())
        for wire in wires:
            wire.sendall(mine * 39 + _request(server, _text(), CLOSE))
        answered = [_read_all(wire) for wire in wires]
        untouched = requests.post(f"{server.url}/v1/predict", json={"row": ROW}, headers=others, timeout=5)
        in_time = int(time.monotonic()) == second
        for wire in wires:
            wire.close()
        statuses = Counter(status for one in answered for status in _statuses(one))
        assert untouched.status_code == 200
        assert set(statuses) == {200, 429}
        assert sum(statuses.values()) == 800
        if in_time:
            break
    else:
        pytest.fail("the machine is too slow to ask 800 times in a second")
    assert b"retry-after: 1" in answered[-1] or b"retry-after: 1" in answered[0]
    # Two workers that count at the same moment may each let one through.
    assert PER_SECOND <= statuses[200] <= PER_SECOND + 4


def test_no_client_makes_a_new_label_of_a_metric(server: Server) -> None:
    for method in ("GET", "HEAD", "PATCH"):
        requests.request(method, f"{server.url}/v1/predict", timeout=5)
    server.post(row=ROW | {"region": "invented"})
    unseen = '{field="region",reason="unseen"}'
    await_true(lambda: unseen in server.metric("champion_emptied_values_total"))
    assert "invented" not in requests.get(f"{server.url}/metrics", timeout=5).text
    assert {name for name in server.metric("champion_requests_total") if not re.search('"[245]..', name)} == set()


def test_the_server_has_not_grown_after_all_of_it(memory: int, server: Server) -> None:
    server.predict()
    assert _resident(server) - memory < 60_000_000


class _Load:
    """Clients that ask without a pause until nobody listens, and what became of their requests."""

    def __init__(self, server: Server, clients: int = 8) -> None:
        self.answers: Counter[str] = Counter()
        self._request = _request(server, _text())
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
                with _connect(self._server) as wire:
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
            if _statuses(answered) != [200]:
                self.answers["lost"] += 1
                return
            self.answers["answered"] += 1
            if b"connection: close" in answered:
                return


@pytest.fixture
def promoted(in_state: InState, tmp_path: Path) -> Iterator[Server]:
    """A server to be killed."""
    project = in_state("promoted")
    _set(project, requests_per_second=1_000_000)
    with serving(project, workers=2, TMPDIR=str(tmp_path)) as one:
        yield one


def test_connections_that_are_too_many_harm_no_other(promoted: Server) -> None:
    most = 1800
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most + 500), hard))
    promoted.predict()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(most):
            selector.register(stack.enter_context(_connect(promoted)), selectors.EVENT_READ)
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
    load, request = _Load(promoted), _request(promoted, _text())
    with _connect(promoted) as slow, _connect(promoted) as idle:
        slow.sendall(request[:30])
        time.sleep(0.7)
        promoted.process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        # Nobody listens any more, or soon.
        idle.sendall(request)
        assert _statuses(_read_all(idle)) == [200]
        time.sleep(1.5)
        slow.sendall(request[30:])
        assert _statuses(_read_all(slow)) == [200]
    answers = load.join()
    assert promoted.process.wait(20) == 0
    assert answers["answered"] > 100
    assert answers["lost"] == 0, answers
    assert answers["never read"] <= 8, answers


def test_sigkill_of_a_worker_loses_only_what_it_was_doing(promoted: Server) -> None:
    load = _Load(promoted)
    time.sleep(0.5)
    before = {worker.pid for worker in _workers(promoted)}
    _workers(promoted)[0].kill()
    promoted.await_message("worker 0 ended (signal SIGKILL), and is started again")
    await_true(lambda: len({worker.pid for worker in _workers(promoted)} - before) == 1)
    time.sleep(1.5)
    lost = load.answers["lost"] + load.answers["never read"]
    answered = load.answers["answered"]
    time.sleep(0.5)
    answers = load.stop()
    assert answers["refused"] == 0
    assert answers["answered"] > answered > 100
    assert answers["lost"] + answers["never read"] == lost <= 8


def test_workers_end_after_their_requests_when_the_supervisor_is_killed(promoted: Server) -> None:
    workers = _workers(promoted)
    load = _Load(promoted)
    time.sleep(0.5)
    promoted.process.kill()
    answers = load.join()
    _, alive = psutil.wait_procs(workers, timeout=15)
    assert alive == []
    assert answers["lost"] == 0, answers
    assert answers["never read"] <= 8, answers


NO_S3 = {
    "CHAMPION_STORE_URL": "s3://bucket/stores",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.mark.parametrize(
    ("state", "options", "sentence"),
    [
        ("staged", [], "production serves nothing yet. Deploy a version first."),
        ("promoted", ["--port", "PORT"], "nothing can listen at 127.0.0.1:PORT: Address already in use. Choose"),
        ("promoted", ["--host", "no host"], "nothing can listen at no host:0: "),
        ("promoted without its pointer", [], "stores/production"),
        ("promoted without S3", [], "the store s3://bucket/stores/production cannot be used"),
        ("promoted with a broken model", [], "v1 is broken, so it is not served: "),
    ],
)
def test_a_server_that_cannot_start_says_why(
    in_state: InState, monkeypatch: pytest.MonkeyPatch, state: str, options: list[str], sentence: str
) -> None:
    project = in_state(state.partition(" ")[0])
    if "S3" in state:
        for name, value in NO_S3.items():
            monkeypatch.setenv(name, value)
    if "pointer" in state:
        pointer = project.root.parent / "stores/production" / POINTER
        pointer.unlink()
        pointer.mkdir()
    if "broken" in state:
        for path in (project.root.parent / "stores").rglob("model.onnx"):
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[:-1])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [str(CHAMPION), "serve", "--env", "production", "--port", "0", *options]
        done = subprocess.run(
            [word.replace("PORT", port) for word in command],
            cwd=project.root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert sentence.replace("PORT", port) in line


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["\ue000", "\ue001", "\0", "north", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from([*ROW]), inner, max_size=3),
    max_leaves=10,
)
ROWS = st.fixed_dictionaries(dict.fromkeys(ROW, JSON_VALUES)) | st.dictionaries(st.sampled_from([*ROW]), JSON_VALUES)
BODY = (
    JSON_VALUES
    | st.fixed_dictionaries({"row": ROWS}, optional={"user_id": JSON_VALUES, "rows": JSON_VALUES})
    | st.fixed_dictionaries({"rows": st.lists(ROWS | JSON_VALUES, max_size=3)})
)


@pytest.fixture(scope="module")
def ask(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bytes], tuple[int, Any]]]:
    """The application in this process, asked with a body; it answers with a status and a JSON value."""
    folder = tmp_path_factory.mktemp("limits")
    make_file(folder, 1)
    limit = RateLimit(folder, 0, 1, 1)
    path = results / "weak/models/model.onnx"
    version = OpenVersion.open("v1", path, hashlib.sha256(path.read_bytes()).hexdigest())
    live = LiveModel(State(1, "test", "v1", {}), {"v1": version}, None, ApiKeys({}))
    told: list[dict[str, Any]] = []
    router = Router(Serving(keys_required=False), told.append)
    app = App(live, Serving(keys_required=False), router, limit, metrics.Buffer())

    async def asked(body: bytes) -> tuple[int, Any]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        await app({"type": "http", "path": "/v1/predict", "method": "POST", "headers": []}, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])

    with asyncio.Runner() as runner:
        yield lambda body: runner.run(asked(body))
    router.close()
    limit.close()


@settings(max_examples=400, deadline=None, derandomize=True)
@given(body=BODY)
def test_any_json_value_gives_an_answer_or_a_problem(ask: Callable[[bytes], tuple[int, Any]], body: Any) -> None:
    status, answer = ask(json.dumps(body).encode())
    if status == 200:
        rows = [body["row"]] if body.get("row") is not None else body["rows"]
        assert len(answer["predictions"]) == len(rows)
        assert all(0 <= one["probability"] <= 1 for one in answer["predictions"])
    else:
        assert status in (400, 413, 422)
        assert answer["status"] == status
        for error in answer.get("errors", []):
            assert error.get("field") is None or error["field"] in ROW
        wrong = re.fullmatch(r"(\d+) values? (is|are) wrong\.", answer["detail"])
        assert wrong is None or int(wrong[1]) == len(answer["errors"]) > 0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(body=st.binary() | st.text(alphabet='{}[]":,0e+-. \\u').map(str.encode))
def test_any_bytes_give_an_answer_or_a_problem(ask: Callable[[bytes], tuple[int, Any]], body: bytes) -> None:
    status, answer = ask(body)
    assert status in (400, 422)
    assert answer["detail"].endswith(".")
