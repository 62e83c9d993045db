"""A client's connection: it ends when a request takes too long, and it loses no request when the server ends."""

from asyncio import TimerHandle, Transport
from typing import Any

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEADER_BYTES = 32 * 1024


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with a time limit for a request's arrival, a limit of its headers, and a slow farewell.

    uvicorn closes an idle connection at once when the server ends. A request that its client sends at this moment is
    lost. So an idle connection stays until the server's grace is over, and its next answer tells the client to close.
    """

    # Seconds for a request to arrive, and for an idle connection to stay when the server ends.
    request_seconds = 10.0
    grace_seconds = 1.0
    # Whether the server is about to end, so that each connection ends with its next answer.
    leaving = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arrival: TimerHandle | None = None
        self._header_bytes = 0
        self._arrived = True

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_arrival()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._arrival is None and not self._arrived:
            self._await_arrival()

    def on_message_begin(self) -> None:
        self._header_bytes = 0
        self._arrived = False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count_header(len(name) + len(value))

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.leaving:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._arrived = True
        self._stop_waiting()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(431)
        else:
            super().send_400_response(msg)

    def shutdown(self) -> None:
        """End when the request is answered, else when the next one is, or when the grace is over."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(self.grace_seconds, self._end_idle)

    def _end_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            # The parser stops, and `send_400_response` follows.
            raise HttpParserError("the headers are too large")

    def _await_arrival(self) -> None:
        self._arrival = self.loop.call_later(self.request_seconds, self._refuse, 408)

    def _stop_waiting(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _refuse(self, status: int) -> None:
        """Answer with this status, unless an answer has begun, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
