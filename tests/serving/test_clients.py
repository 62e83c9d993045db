"""No client makes a server fail, hang or tell a secret, whatever it sends."""

import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from champion.delivery import keys
from support.delivery import DeliveryProject, project_in_state
from support.serving import ROW, Server, await_true, edit_serving, serving
from support.wire import (
    CLOSE,
    Wire,
    as_bytes,
    body_of,
    connect,
    read_all,
    read_problem,
    seconds_to_send,
    statuses,
    talk,
)

SECONDS, PER_SECOND = 1, 300


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, results: Path, shared: Path) -> Iterator[DeliveryProject]:
    with pytest.MonkeyPatch.context() as patch:
        made = project_in_state("promoted", tmp_path_factory.mktemp("faults"), results, shared, patch)
        edit_serving(made, request_seconds=SECONDS, requests_per_second=PER_SECOND)
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


BODIES: dict[str, tuple[bytes | str, int]] = {
    "nothing": ("", 400),
    "half": ('{"row":', 400),
    "two values": (body_of() + "{}", 400),
    "NaN": (body_of({"age": float("nan")}), 400),
    "infinity": (body_of({"age": float("inf")}), 400),
    "no UTF-8": (b'{"row":{"region":"\xff"}}', 400),
    "no UTF-8 as key": (b'{"\xff":1}', 400),
    "UTF-16": (body_of().encode("utf-16"), 400),
    "half of a surrogate pair": (body_of({"region": "\ud800"}), 400),
    "half of a surrogate pair as key": ('{"\\ud800": 1}', 400),
    "deep array": ('{"row":{"age":' + "[" * 100_000 + "]" * 100_000 + "}}", 400),
    "deep object": ('{"row":' + '{"age":' * 100_000 + "1" + "}" * 100_001, 400),
    "integer of 5,000 digits": (body_of().replace("0.3", "9" * 5000), 422),
    "array": ("[]", 422),
    "null": ("null", 422),
    "text": ('"row"', 422),
    "neither row nor rows": ("{}", 422),
    "row and rows": (body_of(rows=[ROW]), 422),
    "row null": ('{"row": null}', 422),
    "row as array": ('{"row": []}', 422),
    "no rows": ('{"rows": []}', 422),
    "rows as object": ('{"rows": {}}', 422),
    "user as number": (body_of(user_id=1), 422),
    "user of a megabyte": (body_of(user_id="u" * 1_000_000), 422),
    "unknown key": (body_of(unknown=1), 422),
    "key of a megabyte": ('{"' + "k" * 1_000_000 + '": 1}', 422),
    "1,001 rows": (json.dumps({"rows": [{}] * 1001}), 413),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_wrong_body_is_refused(server: Server, name: str) -> None:
    body, status = BODIES[name]
    answered = talk(server, as_bytes(server, body, CLOSE))
    assert "no valid JSON" in read_problem(answered, status)["detail"] or status != 400
    assert len(answered) < 1500


VALID: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "the last of two equal keys": (body_of().replace('"age"', '"income": "x", "income": 0.3, "age"'), []),
    "10,000 more columns": (body_of({f"column {number}": number for number in range(10_000)}), []),
    "1e999": (body_of().replace("0.3", "1e999"), [("income", "invalid")]),
    "-1e999": (body_of().replace("0.3", "-1e999"), [("income", "invalid")]),
    "integer of 400 digits": (body_of().replace("0.3", "9" * 400), [("income", "invalid")]),
    "number of 50,000 digits": (body_of().replace("0.3", "0.3" + "0" * 50_000), []),
    "NUL": (body_of({"region": "\0"}), [("region", "unseen")]),
    "mark of a missing text": (body_of({"region": "\ue000"}), [("region", "unseen")]),
    "mark of an unseen text": (body_of({"region": "\ue001"}), [("region", "unseen")]),
    "other scripts": (body_of({"region": "北\u202e\U0001f600"}), [("region", "unseen")]),
    "missing": (body_of({"income": None, "region": None}), []),
}


@pytest.mark.parametrize("name", VALID)
def test_a_strange_value_is_answered_and_named(server: Server, name: str) -> None:
    body, warnings = VALID[name]
    answer = requests.post(
        f"{server.url}/v1/predict", body.encode(), headers={"Authorization": server.authorization}, timeout=10
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
    problem = read_problem(talk(server, as_bytes(server, text, CLOSE)), 422)
    assert [one["row"] for one in problem["errors"]] == [1]


def test_errors_are_at_most_a_hundred_and_cost_little(server: Server) -> None:
    start = time.perf_counter()
    answer = server.post(rows=[ROW] * 900 + [{"unknown": 1}] * 100)
    assert time.perf_counter() - start < 1
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 100)
    assert answer.json()["detail"] == "100 values or more are wrong."


CHUNKED = "Transfer-Encoding: chunked"
REQUESTS: dict[str, tuple[list[str], bytes, int]] = {
    "longer than its length": (["Content-Length: 5", CLOSE], body_of().encode(), 400),
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
    answered = talk(server, as_bytes(server, body, *headers))
    read_problem(answered, status)
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
    answered = talk(server, as_bytes(server, b"", CLOSE, "Host: example.org", start=start))
    read_problem(answered, STARTS[start])
    assert b"example.org" not in answered


def test_a_client_that_reads_nothing_before_all_is_sent_gets_its_answer(server: Server) -> None:
    large, chunk = b" " * 20_000_000, b"10000\r\n" + b" " * 65_536 + b"\r\n"
    last = as_bytes(server, body_of(), CLOSE)
    assert statuses(talk(server, as_bytes(server, large) + last)) == [413, 200]
    assert statuses(talk(server, as_bytes(server, chunk * 300 + b"0\r\n\r\n", CHUNKED) + last)) == [413, 200]
    assert statuses(talk(server, as_bytes(server, large, CLOSE))) == [413]
    without_key = b"POST /v1/predict HTTP/1.%d\r\nConnection: close\r\nContent-Length: 20000000\r\n\r\n"
    assert statuses(talk(server, without_key % 1 + large)) == [401]
    assert statuses(talk(server, without_key % 0 + large)) == [401]


@pytest.mark.parametrize("after", ["the headers", "the body"])
def test_a_header_without_end_is_refused_at_once(server: Server, after: str) -> None:
    whole = as_bytes(server, b"2\r\n{}\r\n0\r\n", CHUNKED)
    start = (whole if after == "the body" else whole[: whole.index(b"\r\n\r\n") + 2]) + b"x: "
    # The parser would copy all that came at each new piece.
    read_problem(talk(server, start + b"a" * 3_000_000), 431)


def test_what_follows_a_body_is_no_header(server: Server) -> None:
    body = b"%x\r\n%b\r\n0\r\nAuthorization: %b\r\n\r\n" % (
        len(body_of()),
        body_of().encode(),
        server.authorization.encode(),
    )
    request = b"POST /v1/predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body
    read_problem(talk(server, request), 401)


@pytest.mark.parametrize("id_", ["a", "A.b_c-1", "x" * 64])
def test_a_plain_request_id_is_given_back(server: Server, id_: str) -> None:
    answered = talk(server, as_bytes(server, body_of(), f"X-Request-Id: {id_}", CLOSE))
    assert f"x-request-id: {id_}\r\n".encode() in answered
    assert json.loads(answered.partition(b"\r\n\r\n")[2])["request_id"] == id_
    read_problem(talk(server, as_bytes(server, "", f"x-request-id: {id_}", CLOSE, start="GET /none HTTP/1.1")), 404)


@pytest.mark.parametrize("id_", ["", "x" * 65, "a b", "é", '"', "<script>"])
def test_any_other_request_id_is_replaced(server: Server, id_: str) -> None:
    answered = talk(server, as_bytes(server, body_of(), f"X-Request-Id: {id_}", CLOSE))
    assert re.search(rb"\r\nx-request-id: [0-9a-f]{32}\r\n", answered)


def test_each_dialect_of_http_is_answered(server: Server) -> None:
    body = body_of()
    one = as_bytes(server, body)
    last = as_bytes(server, body, CLOSE)
    old = as_bytes(server, body, start="POST /v1/predict HTTP/1.0")
    # Java's client asks so with each first request.
    upgrade = as_bytes(server, body, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA")
    web_socket = as_bytes(server, "", "Connection: upgrade", "Upgrade: websocket", start="GET /v1/model HTTP/1.1")
    assert statuses(talk(server, one, one, last)) == [200] * 3
    assert statuses(talk(server, one + one + last)) == [200] * 3
    assert statuses(talk(server, old)) == [200]
    assert statuses(talk(server, upgrade + last)) == [200] * 2
    assert statuses(talk(server, upgrade[:-20], upgrade[-20:], last, pause=0.1)) == [200] * 2
    assert statuses(talk(server, web_socket + last)) == [200] * 2
    assert statuses(talk(server, *(last[at : at + 7] for at in range(0, len(last), 7)))) == [200]


def test_a_request_that_is_no_http_takes_no_answer_from_the_one_before(server: Server) -> None:
    rows = as_bytes(server, json.dumps({"rows": [ROW] * 1000}))
    assert statuses(talk(server, rows + b"rubbish\r\n\r\n")) == [200]
    assert statuses(talk(server, rows + rows + as_bytes(server, "z\r\n", CHUNKED))) == [200, 200]


@pytest.mark.parametrize(
    "ask", ["GET /x HTTP/1.1\r\n\r\n", "GET /x HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"]
)
def test_a_client_may_have_only_so_many_requests_waiting(server: Server, ask: str) -> None:
    counts = Counter(statuses(talk(server, ask.encode() * 50_000)))
    assert set(counts) == {404}
    assert 100 <= counts[404] <= 102


def test_a_client_that_asks_before_it_sends_is_answered(server: Server) -> None:
    asks = as_bytes(server, body_of(), "Expect: 100-continue", CLOSE)
    at = asks.index(b"\r\n\r\n") + 4
    assert statuses(talk(server, asks[:at], asks[at:], pause=0.1)) == [100, 200]
    # Refused, it may send another request instead of the body.
    refused = b"POST /v1/predict HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99\r\n\r\n"
    read_problem(talk(server, refused), 401)


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
    with connect(server) as wire:
        wire.settimeout(SECONDS / 10)
        wire.sendall(first.replace(b"KEY", server.authorization.encode()))
        start, answered = time.monotonic(), b""
        while b" 408 " not in answered:
            assert time.monotonic() < start + SECONDS + 1.5, (drop, answered)
            wire.sendall(drop)
            try:
                answered += wire.recv(1 << 16)
            except TimeoutError:
                continue
    assert time.monotonic() > start + SECONDS * 0.9
    read_problem(answered[answered.rindex(b"HTTP/1.1") :], 408)


def test_a_refused_client_that_goes_on_sending_gets_one_answer(server: Server) -> None:
    with connect(server) as wire:
        wire.sendall(b"POST /v1/predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        time.sleep(SECONDS / 2)
        wire.sendall(b"1\r\n \r\n")
        time.sleep(SECONDS)
        read_problem(read_all(wire), 401)
        assert seconds_to_send(wire, b"1\r\n \r\n", most=5) < 4


def test_a_silent_client_is_ended_without_an_answer(server: Server) -> None:
    start = time.monotonic()
    assert talk(server) == b""
    assert SECONDS * 0.9 < time.monotonic() - start < SECONDS + 1


def test_a_client_that_never_reads_is_ended(server: Server) -> None:
    asks = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\n\r\n"
    before = [len(worker.net_connections()) for worker in server.workers()]
    with connect(server) as wire:
        wire.sendall(asks * 20)
        await_true(lambda: [len(worker.net_connections()) for worker in server.workers()] != before, 2)
        await_true(lambda: [len(worker.net_connections()) for worker in server.workers()] == before, SECONDS + 3)


def test_200_clients_at_once_are_all_answered(server: Server) -> None:
    # In one second of the rate limit, and before a silent connection ends.
    time.sleep(1 - time.monotonic() % 1)
    wires = [connect(server) for _ in range(200)]
    for wire in wires:
        wire.sendall(as_bytes(server, body_of(), CLOSE))
    assert [statuses(read_all(wire)) for wire in wires] == [[200]] * 200
    for wire in wires:
        wire.close()


def test_clients_that_go_away_do_no_harm(server: Server) -> None:
    whole = as_bytes(server, json.dumps({"rows": [ROW] * 1000}))
    for end in (10, 100, len(whole) // 2, len(whole) - 1, len(whole)):
        for _ in range(10):
            with connect(server) as wire:
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
    key = server.authorization.removeprefix("Bearer ")
    lines = ["POST /v1/predict HTTP/1.1", "Authorization: " + wrong.replace("KEY", key), "Content-Length: 0", CLOSE]
    problem = read_problem(talk(server, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"), 401)
    assert key not in json.dumps(problem)


def _connect_to_each_worker(server: Server, number: int) -> list[Wire]:
    """So many connections to each worker, which stay open."""
    kept: dict[int, list[Wire]] = {worker.pid: [] for worker in server.workers()}
    until = time.monotonic() + 10
    while any(len(wires) < number for wires in kept.values()):
        assert time.monotonic() < until, "a worker takes no connection"
        wires = {wire.getsockname()[1]: wire for wire in [connect(server) for _ in range(20)]}
        for wire in wires.values():
            wire.sendall(b"GET /health/live HTTP/1.1\r\n\r\n")
        for wire in wires.values():
            while not wire.recv(1 << 16).endswith(b"}"):
                pass
        for worker in server.workers():
            for connection in worker.net_connections():
                if connection.raddr and connection.raddr.port in wires and len(kept[worker.pid]) < number:
                    kept[worker.pid].append(wires.pop(connection.raddr.port))
        for wire in wires.values():
            wire.close()
    return [wire for wires in kept.values() for wire in wires]


def test_a_key_may_ask_so_often_in_a_second_over_all_workers(project: DeliveryProject, server: Server) -> None:
    _, other = keys.add(project.production, "other")
    mine, others = as_bytes(server, body_of()), {"Authorization": f"Bearer {other}"}
    await_true(lambda: requests.get(f"{server.url}/v1/model", headers=others, timeout=5).status_code == 200)
    counts: Counter[int] = Counter()
    for _ in range(5):
        wires = _connect_to_each_worker(server, 10)
        # Just after a new second has begun.
        time.sleep(1.02 - time.monotonic() % 1)
        second = int(time.monotonic())
        for wire in wires:
            wire.sendall(mine * 39 + as_bytes(server, body_of(), CLOSE))
        answered = [read_all(wire) for wire in wires]
        untouched = requests.post(f"{server.url}/v1/predict", json={"row": ROW}, headers=others, timeout=5)
        in_time = int(time.monotonic()) == second
        for wire in wires:
            wire.close()
        counts = Counter(status for one in answered for status in statuses(one))
        assert untouched.status_code == 200
        assert set(counts) == {200, 429}
        assert sum(counts.values()) == 800
        if in_time:
            break
    else:
        pytest.fail("the machine is too slow to ask 800 times in a second")
    assert b"retry-after: 1" in answered[-1] or b"retry-after: 1" in answered[0]
    # Two workers that count at the same moment may each let one through.
    assert PER_SECOND <= counts[200] <= PER_SECOND + 4


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


def _resident(server: Server) -> int:
    return sum(worker.memory_info().rss for worker in server.workers())
