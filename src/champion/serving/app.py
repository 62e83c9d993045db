"""The HTTP API, as an ASGI application. Predictions take the short way; all else goes through Starlette."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as PageRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from champion.environments import Serving
from champion.serving import metrics
from champion.serving.batching import Batcher
from champion.serving.limits import RateLimit
from champion.serving.live_model import LiveModel, OpenVersion
from champion.serving.problems import MEDIA_TYPE, Problem
from champion.serving.routing import Router, fallback
from champion.serving.schema import Answer, Prediction, encode, read_rows
from champion.serving.scoring import count_emptied, in_scope, predictions, read_each, score

LOG = logging.getLogger(__name__)
PREDICT = "/v1/predict"
# More rows than these are scored in a thread, so that other requests need not wait.
FEW_ROWS = 20
_PROCESS_ID, _NUMBERS = os.urandom(8).hex(), count()
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Champion</title><link rel="stylesheet" href="docs/assets/swagger-ui.css"></head>
<body>
<div id="page"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({ url: "openapi.json", dom_id: "#page", validatorUrl: null })</script>
</body>
</html>
"""


class App:
    """The application of one worker. `model` is replaced when the state changes; `leaving` once the server ends."""

    def __init__(
        self, model: LiveModel, settings: Serving, router: Router, limit: RateLimit, counts: metrics.Buffer
    ) -> None:
        self.model = model
        self.leaving = False
        self._settings = settings
        self._router = router
        self._limit = limit
        self._pages = self._make_pages()
        self._counts = counts
        self._answered = 0
        self._batcher = Batcher()
        self._ok = metrics.REQUESTS.labels("200")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PREDICT:
            await self._answer(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        try:
            answer = await self._predict(scope, headers, receive, request_id)
        except Problem as problem:
            metrics.REQUESTS.labels(str(problem.status.value)).inc()
            await _send(send, problem.status, problem.body(request_id), request_id, MEDIA_TYPE, problem.headers)
            return
        except Exception as error:
            metrics.REQUESTS.labels("500").inc()
            failed = _as_problem(error, request_id)
            await _send(send, failed.status, failed.body(request_id), request_id, MEDIA_TYPE)
            return
        if answer is None:
            # The client has gone.
            return
        await _send(send, HTTPStatus.OK, answer, request_id)
        self._counts.add(self._ok)
        self._answered += 1
        if self._answered % metrics.MEASURED == 0:
            metrics.SECONDS.observe(time.perf_counter() - started)

    async def _predict(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, request_id: str
    ) -> bytes | None:
        """The answer's bytes; None when the client has gone. Raises `Problem` when the request is refused."""
        if scope["method"] != "POST":
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "Use POST.", headers={b"allow": b"POST"})
        self._admit(headers)
        kind = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json.")
        body = await _read_body(headers, receive, self._settings.max_body_kb * 1024)
        if body is None:
            return None
        # One model answers the whole request, whatever is switched meanwhile.
        model = self.model
        rows, user_id = read_rows(body, self._settings.max_rows)
        few = len(rows) <= FEW_ROWS
        version, choice = self._router.choose(model, user_id)
        answered = None
        if version is not model.live:
            answered = await self._ask_challenger(version, rows)
            if answered is None:
                version, choice = model.live, None if choice is None else fallback(choice.key)
        if answered is None and few:
            read = read_each(version, rows)
            answered = predictions(version, read, await self._batcher.score(version.scorer, in_scope(read)))
        elif answered is None:
            answered = await asyncio.to_thread(_answer_rows, version, rows)
        self._counts.add(version.rows, len(rows))
        count_emptied(answered, self._counts)
        answer = Answer(request_id, version.name, choice, answered)
        if model.shadow is not None:
            self._router.ask_shadow(model.shadow, rows, answer.predictions)
        return encode(answer)

    async def _ask_challenger(self, version: OpenVersion, rows: Sequence[Mapping[str, Any]]) -> list[Prediction] | None:
        """The challenger's answer; None when it cannot give one, so that the live version answers."""
        few = len(rows) <= FEW_ROWS
        try:
            read = read_each(version, rows) if few else await asyncio.to_thread(read_each, version, rows)
        except Problem:
            # The live version says what is wrong with the rows.
            return None
        scores = await self._router.ask_challenger(version, in_scope(read))
        return None if scores is None else predictions(version, read, scores)

    def _admit(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise `Problem` when the request has no valid key, or its key has no request left in this second."""
        given = headers.get(b"authorization")
        if given is None and not self._settings.keys_required:
            return
        scheme, _, key = (given or b"").partition(b" ")
        name = self.model.keys.name_of(key.strip().decode("latin-1")) if scheme.lower() == b"bearer" else None
        if name is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "Send a valid API key as `Authorization: Bearer KEY`.",
                headers={b"www-authenticate": b"Bearer"},
            )
        if not self._limit.allows(name):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"The key may send {self._settings.requests_per_second:g} requests in a second. Wait for the next one.",
                headers={b"retry-after": b"1"},
            )

    def _make_pages(self) -> Starlette:
        import swagger_ui_bundle

        async def is_live(_: PageRequest) -> Response:
            return _json(encode({"status": "live"}))

        async def is_ready(_: PageRequest) -> Response:
            if self.leaving:
                raise HTTPException(503, "The server is about to end.")
            return _json(encode({"status": "ready"}))

        async def describe_model(request: PageRequest) -> Response:
            self._admit(dict(request.scope["headers"]))
            return _json(self.model.description)

        # Adding up the files of all workers takes a while. Starlette runs what is not async in a thread.
        def read_metrics(_: PageRequest) -> Response:
            from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
            from prometheus_client.multiprocess import MultiProcessCollector

            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

        def describe_api(_: PageRequest) -> Response:
            return _json(self.model.document(self._settings))

        async def page(_: PageRequest) -> Response:
            return HTMLResponse(_PAGE)

        async def refuse(request: PageRequest, error: Exception) -> Response:
            request_id = _request_id(dict(request.scope["headers"]))
            problem = error if isinstance(error, Problem) else _as_problem(error, request_id)
            headers = {name.decode(): value.decode() for name, value in problem.headers.items()}
            headers["x-request-id"] = request_id
            return Response(problem.body(request_id), problem.status, headers, MEDIA_TYPE.decode())

        bundle = Path(swagger_ui_bundle.swagger_ui_path)
        pages = Starlette(
            routes=[
                Route("/health/live", is_live),
                Route("/health/ready", is_ready),
                Route("/v1/model", describe_model),
                Route("/metrics", read_metrics),
                Route("/openapi.json", describe_api),
                Route("/docs", page),
                Mount("/docs/assets", StaticFiles(directory=bundle)),
            ],
            exception_handlers={Problem: refuse, HTTPException: refuse, Exception: refuse},
        )
        # To redirect, Starlette trusts the request's Host, and forgets https before a proxy.
        pages.router.redirect_slashes = False
        return pages


def _answer_rows(version: OpenVersion, rows: Sequence[Mapping[str, Any]]) -> list[Prediction]:
    return predictions(version, *score(version, rows))


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own id of the request, if it is a plain word, else a new one."""
    given = headers.get(b"x-request-id")
    return given.decode() if given is not None and _ID.fullmatch(given) else _new_id()


def _new_id() -> str:
    """An id that no other process and no other request has."""
    return f"{_PROCESS_ID}{next(_NUMBERS):016x}"


async def _read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes | None:
    """The body; None when the client has gone. Raises `Problem` when it is too large."""
    # The parser has refused a length that is no number.
    size, body, more = int(headers.get(b"content-length", b"0")), b"", True
    while more and max(size, len(body)) <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        more = message.get("more_body", False)
    if max(size, len(body)) > limit:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The body has more than {limit // 1024} KB. Send several requests.",
        )
    return body


async def _send(
    send: Send,
    status: HTTPStatus,
    body: bytes,
    request_id: str,
    media_type: bytes = b"application/json",
    headers: Mapping[bytes, bytes] | None = None,
) -> None:
    sent = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        *(headers or {}).items(),
    ]
    await send({"type": "http.response.start", "status": status.value, "headers": sent})
    await send({"type": "http.response.body", "body": body})


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _as_problem(error: Exception, request_id: str) -> Problem:
    """What to answer for this error; the log has it when the server is to blame."""
    if not isinstance(error, HTTPException):
        LOG.error("request %s failed", request_id, exc_info=error)
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The server failed. Its log says more.")
    headers = {name.lower().encode(): value.encode() for name, value in (error.headers or {}).items()}
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: "Nothing is at this address. /docs lists what is.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"Use {headers.get(b'allow', b'GET').decode()}.",
    }
    return Problem(status, details.get(status, error.detail), headers=headers)
