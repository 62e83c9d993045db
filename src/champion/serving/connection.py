"""A client's connection: it reads requests within limits, and takes predictions a short way past ASGI."""

from typing import Any, cast
from urllib.parse import unquote_to_bytes

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from champion.serving.exchange import Exchange
from champion.serving.patience import MAX_HEADER_BYTES, PatientConnection
from champion.serving.predictor import Predictor

PREDICT = b"/v1/predict"
# Requests of one connection that may wait for the answer to an earlier one.
MAX_WAITING = 100
# What a client gets that asks whether it may send its body.
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(PatientConnection):
    """A connection with a limit of the headers and of the requests that wait, and a short way to predictions.

    uvicorn makes several objects and a task for each request. A prediction needs none of them: what is here between
    `Exchange` and `Predictor` halves its time.
    """

    # Who answers the requests for predictions.
    predictor: Predictor
    # Whether the server is about to end, so that each connection ends with its next answer.
    leaving = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # An answer that the client is too slow for.
        self._held: bytes | None = None
        self._is_head_too_large = False
        # Bytes since the parser last made something of them.
        self._unread_bytes = 0
        # Whether the connection ends once the request has arrived and is answered.
        self._closes = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = None
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
        if (query := self._query_of_prediction()) is not None:
            self._add_exchange(query)
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

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._held is not None and isinstance(self._running, Exchange):
            held, self._held = self._held, None
            self._send(self._running, held)

    def _start_asgi_task(self, cycle: RequestResponseCycle | Exchange, app: Any) -> None:
        if isinstance(cycle, Exchange):
            self._running = cycle
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

    def _query_of_prediction(self) -> bytes | None:
        """The query of a request for a prediction; None of any other request."""
        if self.url == PREDICT:
            return b""
        parsed = parse_url(self.url)
        return (parsed.query or b"") if unquote_to_bytes(parsed.path or b"") == PREDICT else None

    def _add_exchange(self, query: bytes) -> None:
        """Let the request begin, or wait for those before it."""
        before = self.cycle
        exchange = Exchange(
            self.parser.get_method(), query, dict(self.headers), self.expect_100_continue, self._write_answer
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

    def _head_bytes(self) -> int:
        # With the colon, the space and the end of the line, as of many headers they are the larger part.
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
