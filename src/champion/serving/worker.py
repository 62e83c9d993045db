"""A worker of a server: it answers requests on a socket that the supervisor has opened.

It knows the state's folder, and neither the ledger nor any secret. Over a second socket the supervisor says that the
state has changed, and the worker says what happened, one JSON object a line.
"""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn

from champion.core.errors import UserError
from champion.environments import Predictions, Serving
from champion.predictions.spool import Spool
from champion.registry.api_keys import ApiKeys
from champion.serving.admission import Admission
from champion.serving.app import App
from champion.serving.connection import Connection
from champion.serving.limits import RateLimit
from champion.serving.live_model import LiveModel
from champion.serving.metrics import FLUSH_SECONDS, SERVED, Buffer
from champion.serving.orders import Orders
from champion.serving.predictor import Predictor
from champion.serving.recorder import Recorder
from champion.serving.routing import Router
from champion.serving.state import State

# Beyond them a connection gets 503, as a process may open only so many files.
MAX_CONNECTIONS = 800
# How often the last clients are let in.
LAST_CALLS = 5


def main(orders: Orders) -> None:
    """Serve until a signal, or until the supervisor has ended."""
    logging.basicConfig(level=logging.WARNING, format=f"worker {orders.worker}: %(message)s")
    # A client's wrong bytes are answered, and are no news.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    status = asyncio.Runner(loop_factory=_loop_factory()).run(_Worker(orders).run())
    sys.stderr.flush()
    # A challenger's thread that never ends would hold up an ordinary end.
    os._exit(status)


class _Worker:
    def __init__(self, orders: Orders) -> None:
        self._settings = Serving.model_validate(orders.settings)
        self._folder = Path(orders.folder)
        self._orders = orders
        self._router = Router(self._settings, self._tell)
        self._writer: asyncio.StreamWriter | None = None

    async def run(self) -> int:
        orders = self._orders
        reader, self._writer = await asyncio.open_connection(sock=socket.socket(fileno=orders.channel))
        recorder = await self._open_recorder(reader)
        limit = RateLimit(self._folder, orders.worker, orders.workers, self._settings.requests_per_second)
        try:
            model = LiveModel.open(State.read(self._folder), self._folder)
        except UserError as error:
            self._tell({"event": "refused", "reason": str(error)})
            await self._writer.drain()
            return 1
        counts = Buffer()
        admission = Admission(self._settings, limit)
        predictor = Predictor(model, self._settings, self._router, admission, counts, recorder)
        app = App(self._folder, predictor, self._settings, admission, recorder)
        SERVED.labels(model.state.live).set(1)
        Connection.predictor = predictor
        Connection.request_seconds = self._settings.request_seconds
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            proxy_headers=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=30,
            backlog=2048,
        )
        server = _Server(config, app)
        listening = asyncio.create_task(self._listen(reader, predictor, server))
        flushing = asyncio.create_task(_flush(counts))
        # What is open now stays, and to look for garbage among it takes time from requests.
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        self._tell({"event": "serves", "number": model.state.number})
        await server.serve(sockets=[socket.socket(fileno=orders.listener)])
        for task in (listening, flushing):
            task.cancel()
        counts.flush()
        self._router.close()
        if recorder is not None:
            await asyncio.to_thread(recorder.close)
        return 0

    async def _open_recorder(self, reader: asyncio.StreamReader) -> Recorder | None:
        if self._orders.spool is None:
            return None
        settings = Predictions.model_validate(self._orders.predictions)
        # In the orders, all users of the machine could read it.
        users_key = bytes.fromhex((await reader.readline()).decode())
        spool = Spool(Path(self._orders.spool), settings.spool_mb, settings.sync_seconds)
        return Recorder(spool, users_key, settings)

    async def _listen(self, reader: asyncio.StreamReader, predictor: Predictor, server: "_Server") -> None:
        try:
            while await reader.readline():
                await self._follow(predictor)
        finally:
            # The supervisor has ended, or nothing can be followed any more.
            server.leave()

    async def _follow(self, predictor: Predictor) -> None:
        """Serve the folder's state; a broken one is refused, and the old one goes on."""
        before = predictor.model
        state = State.read(self._folder)
        if state.number == before.state.number:
            return
        try:
            model = await asyncio.to_thread(LiveModel.open, state, self._folder, before)
        except Exception as error:
            # Keys have nothing to do with a broken model. The supervisor hears the reason and asks again.
            predictor.model = replace(before, keys=ApiKeys.parse(state.keys))
            known = isinstance(error, UserError)
            self._tell({"event": "refused", "reason": str(error) if known else f"a {type(error).__name__} happened"})
            return
        predictor.model = model
        self._router.begin(model)
        before.close_what_left(model)
        if before.state.live != state.live:
            SERVED.labels(before.state.live).set(0)
            SERVED.labels(state.live).set(1)
        self._tell({"event": "serves", "number": state.number})

    def _tell(self, event: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(event).encode() + b"\n")


class _Server(uvicorn.Server):
    """uvicorn's server. Some time before it ends, it closes each connection with its next answer."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002
        """Begin to end at a signal; the second one ends at once."""
        if self._app.leaving and sig == signal.SIGINT:
            self.force_exit = True
        self.leave()

    def leave(self) -> None:
        """Begin to end: `/health/ready` says so, and clients go elsewhere."""
        if self._app.leaving:
            return
        self._app.leaving = Connection.leaving = True
        asyncio.get_running_loop().call_later(Connection.grace_seconds, self._stop)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take in the clients that wait for a connection before nobody listens any more: else they get no answer."""
        loop = asyncio.get_running_loop()
        for listener in sockets or []:
            # The system lets hardly any more clients wait. Others may come all the time, so this ends in any case.
            listener.listen(0)
            for _ in range(LAST_CALLS):
                for client in _accept_all(listener):
                    await loop.connect_accepted_socket(self._make_connection, client)
        await super().shutdown(sockets)

    def _make_connection(self) -> Connection:
        return Connection(self.config, self.server_state, self.lifespan.state)

    def _stop(self) -> None:
        self.should_exit = True


async def _flush(counts: Buffer) -> None:
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        counts.flush()


def _accept_all(listener: socket.socket) -> list[socket.socket]:
    accepted = []
    with contextlib.suppress(BlockingIOError):
        while True:
            accepted.append(listener.accept()[0])
    return accepted


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    main(Orders(**json.loads(sys.argv[1])))
