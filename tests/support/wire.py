"""Requests to a server as bytes, for what no HTTP client sends."""

import json
import re
import socket
import time
from typing import Any

from support.serving import ROW, Server

# What no answer may have: a traceback, a path of the machine, a name of a file of code.
TELLS_TOO_MUCH = re.compile(rb"Traceback|File \"|/tmp/|/home/|/usr/|site-packages|\.py\b|root:")
Wire = socket.socket
CLOSE = "Connection: close"


def as_bytes(server: Server, body: bytes | str = b"", *headers: str, start: str = "POST /v1/predict HTTP/1.1") -> bytes:
    """The bytes of a request with a valid key."""
    content = body.encode() if isinstance(body, str) else body
    lines = [start, "Host: x", f"Authorization: {server.authorization}", *headers]
    if not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers):
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def connect(server: Server) -> Wire:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def talk(server: Server, *sent: bytes, pause: float = 0.0) -> bytes:
    """All that the server answers to these bytes until it closes."""
    with connect(server) as wire:
        for part in sent:
            wire.sendall(part)
            time.sleep(pause)
        return read_all(wire)


def read_all(wire: Wire) -> bytes:
    answered = b""
    while part := wire.recv(1 << 16):
        answered += part
    return answered


def seconds_to_send(wire: Wire, part: bytes, most: float) -> float:
    """How long the server lets a client send this again and again."""
    start = time.monotonic()
    while (seconds := time.monotonic() - start) < most:
        try:
            wire.sendall(part)
        except ConnectionError:
            break
        time.sleep(0.02)
    return seconds


def statuses(answered: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answered)]


def read_problem(answered: bytes, status: int) -> dict[str, Any]:
    """The only answer, which is a problem with this status and tells nothing about the machine."""
    assert statuses(answered) == [status], answered[:500]
    assert not TELLS_TOO_MUCH.search(answered), answered[:500]
    head, _, body = answered.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    problem: dict[str, Any] = json.loads(body)
    assert problem["status"] == status
    assert problem["detail"].endswith(".")
    assert f"x-request-id: {problem['request_id']}".encode() in head
    return problem


def body_of(row: dict[str, Any] | None = None, **body: Any) -> str:
    return json.dumps({"row": ROW | (row or {}), **body})
