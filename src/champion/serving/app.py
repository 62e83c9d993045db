"""What a server answers besides predictions, as an ASGI application."""

from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from champion.environments import Serving
from champion.predictions.limits import latest_day
from champion.serving import pages
from champion.serving.admission import Admission
from champion.serving.exchange import request_id
from champion.serving.measured import read_registry
from champion.serving.predictor import Predictor
from champion.serving.problems import MEDIA_TYPE, Problem, as_problem, check_size, check_type
from champion.serving.recorder import Recorder
from champion.serving.schema import encode, read_outcomes

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
    """The application of one worker. `leaving` is set once the server ends. `folder` has the supervisor's files."""

    def __init__(
        self,
        folder: Path,
        predictor: Predictor,
        settings: Serving,
        admission: Admission,
        recorder: Recorder | None,
    ) -> None:
        self.leaving = False
        self._page = pages.Page(folder)
        self._predictor = predictor
        self._settings = settings
        self._admission = admission
        self._recorder = recorder
        self._pages = self._make_pages()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pages(scope, receive, send)

    def _make_pages(self) -> Starlette:
        import swagger_ui_bundle

        async def is_live(_: Request) -> Response:
            return _json(encode({"status": "live"}))

        async def is_ready(_: Request) -> Response:
            if self.leaving:
                raise HTTPException(503, "The server is about to end.")
            return _json(encode({"status": "ready"}))

        async def describe_model(request: Request) -> Response:
            model = self._predictor.model
            self._admission.admit(dict(request.scope["headers"]), model.keys)
            return _json(model.description)

        async def take_outcomes(request: Request) -> Response:
            headers = dict(request.scope["headers"])
            self._admission.admit(headers, self._predictor.model.keys)
            if self._recorder is None:
                raise Problem(HTTPStatus.NOT_FOUND, "This environment logs no predictions, so it takes no outcomes.")
            check_type(headers)
            body = await _read_body(request, self._settings.max_body_kb * 1024)
            said = read_outcomes(body, self._settings.max_rows, latest_day())
            self._recorder.keep_outcomes(said)
            answer = {"request_id": request_id(headers), "outcomes": len(said.outcomes)}
            return Response(encode(answer), HTTPStatus.ACCEPTED, media_type="application/json")

        # Adding up the files of all workers takes a while. Starlette runs what is not async in a thread.
        def read_metrics(_: Request) -> Response:
            from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

            return Response(generate_latest(read_registry()), media_type=CONTENT_TYPE_LATEST)

        def show_state(request: Request) -> Response:
            model = self._predictor.model
            self._admission.admit_person(dict(request.scope["headers"]), model.keys)
            return HTMLResponse(self._page.show(model), headers=pages.HEADERS)

        async def style(_: Request) -> Response:
            return FileResponse(pages.STYLE)

        def describe_api(_: Request) -> Response:
            return _json(self._predictor.model.document(self._settings))

        async def show_api(_: Request) -> Response:
            return HTMLResponse(_PAGE)

        async def refuse(request: Request, error: Exception) -> Response:
            its_id = request_id(dict(request.scope["headers"]))
            problem = _of_page(error) if isinstance(error, HTTPException) else as_problem(error, its_id)
            headers = {name.decode(): value.decode() for name, value in problem.headers.items()}
            headers["x-request-id"] = its_id
            return Response(problem.body(its_id), problem.status, headers, MEDIA_TYPE.decode())

        bundle = Path(swagger_ui_bundle.swagger_ui_path)
        application = Starlette(
            routes=[
                Route("/", show_state),
                Route("/assets/page.css", style),
                Route("/health/live", is_live),
                Route("/health/ready", is_ready),
                Route("/v1/model", describe_model),
                Route("/v1/outcomes", take_outcomes, methods=["POST"]),
                Route("/metrics", read_metrics),
                Route("/openapi.json", describe_api),
                Route("/docs", show_api),
                Mount("/docs/assets", StaticFiles(directory=bundle)),
            ],
            exception_handlers={Problem: refuse, HTTPException: refuse, Exception: refuse},
        )
        # To redirect, Starlette trusts the request's Host, and forgets https before a proxy.
        application.router.redirect_slashes = False
        return application


async def _read_body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        check_size(len(body), limit)
    return bytes(body)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _of_page(error: HTTPException) -> Problem:
    """What Starlette's error says."""
    headers = {name.lower().encode(): value.encode() for name, value in (error.headers or {}).items()}
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: "Nothing is at this address. /docs lists what is.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"Use {headers.get(b'allow', b'GET').decode()}.",
    }
    return Problem(status, details.get(status, error.detail), headers=headers)
