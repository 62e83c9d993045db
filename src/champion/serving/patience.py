"""A connection that no client can hold for long without sending or reading, and that ends without a lost answer."""

import os
from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from champion.serving.exchange import Exchange
from champion.serving.problems import MEDIA_TYPE, Problem

MAX_HEADER_BYTES = 32 * 1024
# How long a refused client may go on to send. If the connection closed at once, it could lose the answer.
LINGER_SECONDS = 2.0
# Connections beyond the limit that are told so. Even more are closed without a word, as each takes a file.
MAX_TOLD = 100


class PatientConnection(HttpToolsProtocol):
    """uvicorn's connection, with time limits and a slow farewell. Which requests it has, a subclass notes.

    uvicorn closes an idle connection at once when the server ends. A request that its client sends at this moment is
    lost. So an idle connection stays until the server's grace is over, and its next answer tells the client to close.
    """

    # Seconds for a request to arrive, and for a client to take in an answer.
    request_seconds = 10.0
    # Seconds for an idle connection to stay when the server ends.
    grace_seconds = 1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn would refuse the requests of all connections, not only of those that are too many.
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._running: RequestResponseCycle | Exchange | None = None
        self._arrival: TimerHandle | None = None
        self._taking: TimerHandle | None = None
        self._arrived = True
        self._in_body = False
        # Whether it takes no more requests, and whether it ends with the last answer to those that it has.
        self._refused = self._ends = False

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
        self._running = None
        self.pipeline.clear()
        if isinstance(self.cycle, Exchange):
            self.cycle = cast(RequestResponseCycle, None)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        is_last = self._ends and not self.pipeline
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
            self._ends = True
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
