"""One request for predictions and its answer, which take a shorter way than ASGI: it would double their time."""

import os
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from itertools import count

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from champion.predictions.limits import REQUEST_ID

_PROCESS_ID, _NUMBERS = os.urandom(8).hex(), count()
_ID = re.compile(REQUEST_ID.encode())
_JSON = b"application/json"


class Exchange:
    """A request for predictions, which its connection fills, and which is answered once.

    `is_begun` says that its turn has come. `body` is whole once `is_whole`, and empty again once it is answered.
    `awaits_body` says that the client sends the body only when it is told to. uvicorn's connection keeps it among its
    own cycles of requests and answers, and knows what they have in common. `query` comes after the address's `?`.
    """

    __slots__ = (
        "_write",
        "awaits_body",
        "body",
        "disconnected",
        "headers",
        "is_begun",
        "is_whole",
        "keep_alive",
        "method",
        "query",
        "request_id",
        "response_complete",
        "response_started",
        "started",
    )

    def __init__(
        self,
        method: bytes,
        query: bytes,
        headers: Mapping[bytes, bytes],
        awaits_body: bool,
        write: "Callable[[Exchange, bytes], None]",
    ) -> None:
        self.started = time.perf_counter()
        self.method = method
        self.query = query
        self.headers = headers
        self.awaits_body = awaits_body
        self.body = bytearray()
        self.is_begun = self.is_whole = False
        self.request_id = request_id(headers)
        self.keep_alive = True
        self.disconnected = self.response_started = self.response_complete = False
        self._write = write

    def answer(
        self,
        body: bytes,
        status: HTTPStatus = HTTPStatus.OK,
        media_type: bytes = _JSON,
        headers: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """Answer, unless the client has gone or has its answer."""
        head = b"%bcontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n" % (
            STATUS_LINE[status],
            media_type,
            len(body),
            self.request_id.encode(),
        )
        for name, value in headers.items() if headers else ():
            head += b"%b: %b\r\n" % (name, value)
        if not self.keep_alive:
            head += b"connection: close\r\n"
        self._write(self, head + b"\r\n" + body if self.method != b"HEAD" else head + b"\r\n")


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own id of the request if it is a plain word, else one that no other process or request has."""
    given = headers.get(b"x-request-id")
    if given is not None and _ID.fullmatch(given):
        return given.decode()
    return f"{_PROCESS_ID}{next(_NUMBERS):016x}"
