"""A client's connection: no client can hold it for long without sending or reading, and its mistakes are answered."""

import os
from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from champion.serving.problems import MEDIA_TYPE, Problem

MAX_HEADER_BYTES = 32 * 1024
# How long a refused client may go on to send. If the connection closed at once, it could lose the answer.
LINGER_SECONDS = 2.0
# Requests of one connection that may wait for the answer to an earlier one.
MAX_WAITING = 100
# Connections beyond the limit that are told so. Even more are closed without a word, as each takes a file.
MAX_TOLD = 100


# What uvicorn writes when a client asks whether it may send its body. It is no answer yet.
_CONTINUE = b"HTTP/1.1 100 "


class _Answer:
    """A transport that sends the head of an answer together with its body: one system call, where uvicorn has two."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None
        self._is_head_sent = False

    def write(self, data: bytes) -> None:
        if self._is_head_sent or data.startswith(_CONTINUE):
            self._transport.write(data)
        elif self._head is None:
            self._head = data
        else:
            self._is_head_sent = True
            self._transport.write(self._head + data)

    def flush(self) -> None:
        """Send a head that no body follows, as in the answer to HEAD."""
        if self._head is not None and not self._is_head_sent:
            self._is_head_sent = True
            self._transport.write(self._head)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with time limits, a limit of the headers, and a slow farewell.

    uvicorn closes an idle connection at once when the server ends. A request that its client sends at this moment is
    lost. So an idle connection stays until the server's grace is over, and its next answer tells the client to close.
    """

    # Seconds for a request to arrive, and for a client to take in an answer.
    request_seconds = 10.0
    # Seconds for an idle connection to stay when the server ends.
    grace_seconds = 1.0
    # Whether the server is about to end, so that each connection ends with its next answer.
    leaving = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn would refuse the requests of all connections, not only of those that are too many.
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._running: RequestResponseCycle | None = None
        self._arrival: TimerHandle | None = None
        self._taking: TimerHandle | None = None
        self._is_head_too_large = False
        # Bytes since the parser last made something of them.
        self._unread_bytes = 0
        self._arrived = True
        self._in_body = False
        # Whether the connection ends once the request has arrived and is answered.
        self._closes = False
        self._refused = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        too_many = 0 if self._most is None else len(self.connections) - self._most
        if too_many > MAX_TOLD:
            transport.abort()
        elif too_many > 0:
            self._refuse(503)
        else:
            self._await_arrival()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_hurrying()
        # uvicorn tells only the last request, and an earlier one would write to a closed connection.
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._unread_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._stay_with_http_1(data[upgrade.args[0] :])
        except HttpParserError:
            self._refuse(431 if self._is_head_too_large else 400)
        # The parser keeps a header, and what follows a body, until it is whole.
        if self._unread_bytes > MAX_HEADER_BYTES:
            self._refuse(431)
        self._watch()

    def on_message_begin(self) -> None:
        self._arrived = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._unread_bytes > MAX_HEADER_BYTES and self._head_bytes() > MAX_HEADER_BYTES:
            self._is_head_too_large = True
            raise HttpParserError("the headers are too large")
        self._unread_bytes = 0
        if self.parser.should_upgrade():
            return
        if len(self.pipeline) >= MAX_WAITING:
            raise HttpParserError("too many requests wait")
        super().on_headers_complete()
        self.cycle.transport = cast(Transport, _Answer(self.transport))
        self._in_body = True
        # What follows a body is no header: a proxy may have checked only the headers.
        self.headers = []
        # A client that is refused before it may send its body may send another request instead.
        self._closes = self.expect_100_continue or not self.cycle.keep_alive
        # While the client sends it may not read, and to close would lose the answer.
        self.cycle.keep_alive = not self.expect_100_continue

    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread_bytes = 0
        if not self._in_body:
            return
        self._in_body = False
        self._arrived = True
        self._stop_waiting()
        if (self._closes or self.leaving) and self.cycle.response_complete:
            self._close()
        elif self._closes or self.leaving:
            self.cycle.keep_alive = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._running is not None:
            cast(_Answer, self._running.transport).flush()
        super().on_response_complete()
        if self.transport.is_closing():
            self._hurry()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._hurry()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_hurrying()

    def timeout_keep_alive_handler(self) -> None:
        self.transport.abort()

    def shutdown(self) -> None:
        """End when the request is answered, else when the next one is, or when the grace is over."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(self.grace_seconds, self._end_idle)
        elif not self._in_body:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _stay_with_http_1(self, rest: bytes) -> None:
        """Read the request as if it did not ask for another protocol, which a server need not speak.

        Java's client asks so with each first request. The parser would take the body for the other protocol.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(400)
            return
        kept = [header for header in self.headers if header[0] not in (b"connection", b"upgrade", b"http2-settings")]
        head = [method + b" " + self.url + b" HTTP/1.1", *(name + b": " + value for name, value in kept), b"\r\n"]
        self.parser = HttpRequestParser(self)
        self.data_received(b"\r\n".join(head) + rest)

    def _watch(self) -> None:
        """Let no client be silent for ever, whatever it has sent."""
        if self._refused or self.transport.is_closing() or self._arrival is not None:
            return
        if not self._arrived:
            self._await_arrival()
        elif self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete):
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _end_idle(self) -> None:
        if self._arrived and (self.cycle is None or self.cycle.response_complete):
            self._close()

    def _head_bytes(self) -> int:
        # With the colon, the space and the end of the line, as of many headers they are the larger part.
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _await_arrival(self) -> None:
        self._arrival = self.loop.call_later(self.request_seconds, self._refuse, 408)

    def _stop_waiting(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _hurry(self) -> None:
        """Give the client some time to take in what was answered."""
        if self._taking is None:
            self._taking = self.loop.call_later(self.request_seconds, self.transport.abort)

    def _stop_hurrying(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _close(self) -> None:
        self.transport.close()
        self._hurry()

    def _refuse(self, status: int) -> None:
        """Answer the request that arrives with this status, unless its answer has begun, and close.

        When earlier requests of the connection still wait for their answers, they get them, and this one gets none.
        """
        self._stop_waiting()
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        arriving = self.cycle if self._in_body else None
        if (waiting := self._last_waiting(arriving)) is not None:
            waiting.keep_alive = False
            return
        begun = arriving is not None and arriving.response_started
        if not begun and not (status == 408 and self._arrived):
            self.transport.write(_refusal(status, self.request_seconds))
        if arriving is not None:
            arriving.disconnected = True
            arriving.message_event.set()
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _last_waiting(self, arriving: RequestResponseCycle | None) -> RequestResponseCycle | None:
        """The last request before the arriving one, if it still waits for its answer."""
        if arriving is None:
            return self.cycle if self.cycle is not None and not self.cycle.response_complete else None
        if not self.pipeline or self.pipeline[0][0] is not arriving:
            return None
        self.pipeline.popleft()
        return self.pipeline[0][0] if self.pipeline else self._running


def _refusal(status: int, seconds: float) -> bytes:
    details = {
        400: "The request is no valid HTTP/1.1.",
        408: f"The request took more than {seconds:g} seconds to arrive.",
        503: "The server has too many connections. Try again later.",
        431: f"The headers have more than {MAX_HEADER_BYTES // 1024} KB.",
    }
    request_id = os.urandom(16).hex()
    body = Problem(HTTPStatus(status), details[status]).body(request_id)
    head = (
        f"content-type: {MEDIA_TYPE.decode()}\r\ncontent-length: {len(body)}\r\n"
        f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
    )
    return STATUS_LINE[status] + head.encode() + body
