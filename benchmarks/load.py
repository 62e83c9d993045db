"""A client that sends requests over many connections from one process, as fast as they are answered or at a rate."""

import gc
import os
import select
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

_HEADER_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclass(frozen=True)
class Load:
    """How many requests were answered in one second, and each one's seconds from the moment it was due."""

    per_second: float
    seconds: Sequence[float]

    def percentile(self, percent: float) -> float:
        """This percentile of the seconds."""
        return statistics.quantiles(self.seconds, n=1000, method="inclusive")[round(percent * 10) - 1]


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of a POST request."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()] + [f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + _HEADER_END + body


def send(
    port: int, requests: Sequence[bytes], seconds: float, connections: int = 16, per_second: float | None = None
) -> Load:
    """Send the requests in turn for so long; at a rate, a request that is due waits for a free connection.

    Raises `SystemExit` when an answer is not 200.
    """
    # The client should be faster than any server, so it works with file descriptors.
    poll, opened, idle = select.epoll(), [], []
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(connection.fileno(), select.EPOLLIN)
        opened.append(connection)
        idle.append(connection.fileno())
    due_at: dict[int, float] = {}
    parts: dict[int, bytes] = {}
    took: list[float] = []
    sent, clock = 0, time.perf_counter
    # The client's own search for garbage would look like a slow server.
    gc.collect()
    gc.disable()
    start = now = clock()
    while now < start + seconds or due_at:
        while idle and now < start + seconds and (per_second is None or start + sent / per_second <= now):
            number = idle.pop()
            due_at[number] = now if per_second is None else start + sent / per_second
            os.write(number, requests[sent % len(requests)])
            sent += 1
        # At a rate, the client does not sleep: it would wake up a millisecond late.
        for number, _ in poll.poll(-1 if per_second is None else 0):
            answer = os.read(number, 65536)
            if number in parts:
                answer = parts.pop(number) + answer
            if not _is_complete(answer):
                parts[number] = answer
                continue
            took.append(clock() - due_at.pop(number))
            idle.append(number)
        now = clock()
    gc.enable()
    poll.close()
    for connection in opened:
        connection.close()
    return Load(len(took) / (now - start), took)


def _is_complete(answer: bytes) -> bool:
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"not answered: {answer[:500]!r}")
    head, begin = answer.find(_HEADER_END), answer.find(_LENGTH) + len(_LENGTH)
    return len(answer) - head - len(_HEADER_END) == int(answer[begin : answer.find(b"\r", begin)])
