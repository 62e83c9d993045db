"""A client's connection: no client can hold it for long without sending or reading, and its mistakes are answered."""

import os
from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from champion.serving.exchange import Exchange
from champion.serving.predictor import Predictor
from champion.serving.problems import MEDIA_TYPE, Problem

PREDICT = b"/v1/predict"
MAX_HEADER_BYTES = 32 * 1024
# How long a refused client may go on to send. If the connection closed at once, it could lose the answer.
LINGER_SECONDS = 2.0
# Requests of one connection that may wait for the answer to an earlier one.
MAX_WAITING = 100
# Connections beyond the limit that are told so. Even more are closed without a word, as each takes a file.
MAX_TOLD = 100
# What a client gets that asks whether it may send its body.
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with time limits, a limit of the headers, a short way to predictions, and a slow farewell.

    uvicorn makes several objects and a task for each request. A prediction needs none of them: what is here between
    `Exchange` and `Predictor` halves its time.

    uvicorn closes an idle connection at once when the server ends. A request that its client sends at this moment is
    lost. So an idle connection stays until the server's grace is over, and its next answer tells the client to close.
    """

    # Seconds for a request to arrive, and for a client to take in an answer.
    request_seconds = 10.0
    # Seconds for an idle connection to stay when the server ends.
    grace_seconds = 1.0
    # Who answers the requests for predictions.
    predictor: Predictor
    # Whether the server is about to end, so that each connection ends with its next answer.
    leaving = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn would refuse the requests of all connections, not only of those that are too many.
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._running: RequestResponseCycle | Exchange | None = None
        # An answer that the client is too slow for.
        self._held: bytes | None = None
        self._arrival: TimerHandle | None = None
        self._taking: TimerHandle | None = None
        self._is_head_too_large = False
        # Bytes since the parser last made something of them.
        self._unread_bytes = 0
        self._arrived = True
        self._in_body = False
        # Of the request that asks for a prediction.
        self._query = b""
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
        self._unset_keepalive_if_required()
        # uvicorn tells only the last request, and an earlier one would write to a closed connection.
        for one in (self._running, self.cycle):
            if one is not None and not one.response_complete:
                _forsake(one)
        # An exchange knows its connection: while both know each other, only the search for garbage frees them.
        self._running = self._held = None
        self.pipeline.clear()
        if isinstance(self.cycle, Exchange):
            self.cycle = cast(RequestResponseCycle, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._unread_bytes += len(data)
        try:
            while data:
                data = self._feed(data)
        except HttpParserError:
            self._refuse(431 if self._is_head_too_large else 400)
        # The parser keeps a header, and what follows a body, until it is whole.
        if self._unread_bytes > MAX_HEADER_BYTES:
            self._refuse(431)
        self._watch()

    def on_message_begin(self) -> None:
        self._arrived = False
        # The request before may have been answered since these bytes came.
        self._unset_keepalive_if_required()
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
        if self.parser.get_http_version() == "1.0":
            # Such a client knows no answer that comes before the answer.
            self.expect_100_continue = False
        if self._asks_for_prediction():
            self._add_exchange()
        else:
            super().on_headers_complete()
        self._in_body = True
        # What follows a body is no header: a proxy may have checked only the headers.
        self.headers = []
        # A client that is refused before it may send its body may send another request instead.
        self._closes = self.expect_100_continue or not self.cycle.keep_alive
        if not isinstance(self.cycle, Exchange):
            # While the client sends it may not read, and to close would lose the answer.
            self.cycle.keep_alive = not self.expect_100_continue
            return
        self.cycle.keep_alive = not (self._closes or self.leaving)
        if self._running is self.cycle:
            self._begin(self.cycle)
        if self._refused:
            raise HttpParserError("a client that had to wait was refused")

    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        if not isinstance(self.cycle, Exchange):
            super().on_body(body)
        elif self._in_body and not self.cycle.response_started:
            self.cycle.body += body
            self._go_on(self.cycle)

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
        if isinstance(self.cycle, Exchange):
            self.cycle.is_whole = True
            self._go_on(self.cycle)
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        is_last = self._refused and not self.pipeline
        super().on_response_complete()
        if self.transport.is_closing():
            self._hurry()
        elif is_last:
            self._take_leave()
        elif self.pipeline:
            # Nobody looks at the size of a body that waits.
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._hurry()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_hurrying()
        if self._held is not None and isinstance(self._running, Exchange):
            held, self._held = self._held, None
            self._send(self._running, held)

    def timeout_keep_alive_handler(self) -> None:
        self.transport.abort()

    def shutdown(self) -> None:
        """End when the request is answered, else when the next one is, or when the grace is over."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(self.grace_seconds, self._end_idle)
        elif not self._in_body:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle | Exchange, app: Any) -> None:
        self._running = cycle
        if isinstance(cycle, Exchange):
            # It has waited for an earlier one. Many that are refused one after the other must not fill the stack.
            self.loop.call_soon(self._begin, cycle)
        else:
            super()._start_asgi_task(cycle, app)

    def _feed(self, data: bytes) -> bytes:
        """Let the parser read the bytes. Returns those that are to be read once more."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            again = self._stay_with_http_1(data[upgrade.args[0] :])
            self._unread_bytes += len(again)
            return again
        return b""

    def _asks_for_prediction(self) -> bool:
        if self.url == PREDICT:
            self._query = b""
            return True
        parsed = parse_url(self.url)
        self._query = parsed.query or b""
        return unquote_to_bytes(parsed.path or b"") == PREDICT

    def _add_exchange(self) -> None:
        """Let the request begin, or wait for those before it."""
        before = self.cycle
        exchange = Exchange(
            self.parser.get_method(), dict(self.headers), self.expect_100_continue, self._write_answer, self._query
        )
        exchange.keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self.cycle = cast(RequestResponseCycle, exchange)
        if before is None or before.response_complete:
            self._running = exchange
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _begin(self, exchange: Exchange) -> None:
        if exchange.disconnected:
            return
        exchange.is_begun = True
        self.predictor.begin(exchange)
        if exchange.awaits_body and not exchange.response_started:
            self.transport.write(_CONTINUE)
        if exchange.body or exchange.is_whole:
            self._go_on(exchange)

    def _go_on(self, exchange: Exchange) -> None:
        # Before it has begun, nobody has looked at its headers.
        if exchange.is_begun and not exchange.response_started:
            self.predictor.go_on(exchange)

    def _write_answer(self, exchange: Exchange, answer: bytes) -> None:
        """End the exchange with these bytes, as soon as the client takes them in."""
        # What fails after the answer may not become a second one.
        if exchange.disconnected or exchange.response_started:
            return
        exchange.response_started = True
        # The connection may stay idle, and keeps its last exchange.
        exchange.body = bytearray()
        if self.flow.write_paused:
            self._held = answer
        else:
            self._send(exchange, answer)

    def _send(self, exchange: Exchange, answer: bytes) -> None:
        exchange.response_complete = True
        self.transport.write(answer)
        if exchange.keep_alive:
            pass
        elif exchange.is_whole:
            self.transport.close()
        elif exchange.awaits_body:
            self._take_leave()
        self.on_response_complete()

    def _stay_with_http_1(self, rest: bytes) -> bytes:
        """The request as if it did not ask for another protocol, which a server need not speak, for a new parser.

        Java's client asks so with each first request. The parser would take the body for the other protocol.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise HttpParserError("this is no proxy")
        kept = [header for header in self.headers if header[0] not in (b"connection", b"upgrade", b"http2-settings")]
        if not self.parser.should_keep_alive():
            kept.append((b"connection", b"close"))
        head = [method + b" " + self.url + b" HTTP/1.1", *(name + b": " + value for name, value in kept), b"\r\n"]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join(head) + rest

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
        if self._waits_for_earlier(arriving):
            return
        begun = arriving is not None and arriving.response_started
        if not begun and not (status == 408 and self._arrived):
            self.transport.write(_refusal(status, self.request_seconds))
        if arriving is not None:
            _forsake(arriving)
        self._take_leave()

    def _take_leave(self) -> None:
        """End the connection, but take in what the client still sends: else it could lose the answer."""
        self._refused = True
        self._stop_waiting()
        self.pipeline.clear()
        self.transport.write_eof()
        seconds = self.request_seconds if self.flow.write_paused else LINGER_SECONDS
        self.loop.call_later(seconds, self.transport.abort)

    def _waits_for_earlier(self, arriving: RequestResponseCycle | Exchange | None) -> bool:
        """Whether a request before the arriving one, which is dropped then, still waits for its answer."""
        if arriving is None:
            return self.cycle is not None and not self.cycle.response_complete
        if not self.pipeline or self.pipeline[0][0] is not arriving:
            return False
        self.pipeline.popleft()
        return True


def _forsake(cycle: RequestResponseCycle | Exchange) -> None:
    """Let nobody answer any more."""
    cycle.disconnected = True
    if isinstance(cycle, RequestResponseCycle):
        cycle.message_event.set()


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
