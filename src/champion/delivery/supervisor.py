"""The parent of a server's workers: it follows the store and the ledger, and makes effects of the workers' events.

Only it knows the ledger's address and keys. When workers find a challenger unsound, it ends the rollout once: one row,
one change of flags, one notification.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from champion.core.errors import ConflictError, UnavailableError
from champion.delivery.alerts import Alerts, print_line, say
from champion.delivery.effects import Effects
from champion.delivery.followed import RETRY_SECONDS, Followed
from champion.delivery.log_shipping import LogShipping, told
from champion.delivery.observer import Observer
from champion.delivery.worker_process import METRICS_VARIABLE, WorkerProcess
from champion.registry.registry import Registry
from champion.serving import limits
from champion.serving.orders import Orders
from champion.serving.state import State

if TYPE_CHECKING:
    from prometheus_client import Gauge

# A switch is followed within a second; most of it is the test of the model.
LOOK_SECONDS = 0.2
START_SECONDS = 60.0


def open_listener(host: str, port: int) -> socket.socket:
    """A socket that listens at the address. Raises `UserError` when it cannot."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        raise UnavailableError(
            f"nothing can listen at {host}:{port}: {error.strerror}. Choose another --host or --port."
        ) from None
    return listener


class Supervisor:
    """One server of one environment. `open_registry` opens its ledger and stores anew, for each effect."""

    def __init__(self, open_registry: Callable[[], Registry], listener: socket.socket, workers: int) -> None:
        self._open_registry = open_registry
        self._registry = open_registry()
        self._listener = listener
        self._count = workers
        self._workers: list[WorkerProcess] = []
        self._alerts = Alerts(self._registry.environment.name)
        self._effects = Effects(open_registry)
        # The state that the workers were told, and what is said of those that are behind.
        self._written = 0
        self._late: list[str] = []
        self._tell_again = 0.0
        self._leaving = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises `UserError` when nothing can be served at the start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._leaving.set)
        with tempfile.TemporaryDirectory(prefix="champion-serve-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            followed = Followed(self._registry, folder)
            state = await asyncio.to_thread(followed.look)
            if state is None:
                serves_nothing = f"{self._registry.environment.name} serves nothing yet. Deploy a version first."
                raise ConflictError(followed.troubles[0] if followed.troubles else serves_nothing)
            state.write(folder)
            self._written = state.number
            environment = self._registry.environment
            shipping = LogShipping.open(environment, self._alerts.alert)
            follows = _measure(folder / "metrics")
            limits.make_file(folder, self._count)
            orders = [self._orders(folder, number) for number in range(self._count)]
            users_key = None if shipping is None else environment.users_key
            self._workers = [WorkerProcess(one, users_key, self._effects.hear, self._alerts.alert) for one in orders]
            keeping = [asyncio.create_task(worker.keep()) for worker in self._workers]
            if shipping is not None:
                shipping.begin()
            observer = Observer(self._open_registry, folder, lambda: sorted(self._alerts.troubles))
            observer.begin()
            try:
                await self._await_start()
                if not self._leaving.is_set():
                    self._greet(state)
                await self._follow(followed, folder, follows, shipping)
            finally:
                observer.end()
                # Only when no process has the socket open do clients know that nobody will answer.
                self._listener.close()
                await asyncio.gather(*(worker.end() for worker in self._workers))
                await asyncio.gather(*keeping, return_exceptions=True)
                if shipping is not None:
                    await shipping.end()

    def _orders(self, folder: Path, number: int) -> Orders:
        environment = self._registry.environment
        settings, predictions = environment.serving.model_dump(), environment.predictions.model_dump()
        spool = None if environment.predictions_url is None else str(environment.spool)
        return Orders(number, self._count, str(folder), self._listener.fileno(), -1, settings, spool, predictions)

    async def _await_start(self) -> None:
        started = asyncio.create_task(self._all_serve())
        leaving = asyncio.create_task(self._leaving.wait())
        done, _ = await asyncio.wait([started, leaving], timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for one in (started, leaving):
            one.cancel()
        if not done:
            raise UnavailableError(f"no worker answers after {START_SECONDS:g} s. Look at its messages above.")

    async def _all_serve(self) -> bool:
        for worker in self._workers:
            await worker.serves.wait()
        return True

    def _greet(self, state: State) -> None:
        host, port = self._listener.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        workers = "1 worker" if self._count == 1 else f"{self._count} workers"
        print_line(f"{state.environment} serves {state.live} at http://{host}:{port} with {workers}", sys.stdout)
        if self._registry.environment.serving.keys_required and not state.keys:
            command = f"`champion keys add NAME --env {state.environment}`"
            say(f"there is no API key yet, so every request is refused. Make one: {command}")

    async def _follow(self, followed: Followed, folder: Path, follows: "Gauge", shipping: LogShipping | None) -> None:
        """Take up each change, until the end; `follows` is 1 while there is no trouble."""
        live, pause = followed.state.live if followed.state is not None else "", LOOK_SECONDS
        while not await self._is_leaving(pause):
            pause = LOOK_SECONDS
            try:
                if (state := await self._look(followed)) is not None:
                    state.write(folder)
                    self._written = state.number
                    # The look may have taken long.
                    self._tell_again = time.monotonic() + RETRY_SECONDS
                    for worker in self._workers:
                        worker.tell()
                troubles = [
                    *followed.troubles,
                    *self._behind(followed),
                    *await self._effects.act(followed),
                    *(shipping.troubles if shipping else ()),
                ]
            except Exception as error:
                # Whatever fails, the workers go on, and the next look tries again.
                troubles, pause = [told(error)], RETRY_SECONDS
            if followed.state is not None and followed.state.live != live:
                live = followed.state.live
                print_line(f"{followed.state.environment} serves {live} now", sys.stdout)
            self._alerts.update(troubles)
            follows.set(not troubles)

    async def _look(self, followed: Followed) -> State | None:
        """The state to take up: a new one, or one that could not be written. At the end it waits for no long test."""
        looking = asyncio.create_task(asyncio.to_thread(followed.look))
        leaving = asyncio.create_task(self._leaving.wait())
        await asyncio.wait([looking, leaving], return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not looking.done():
            return None
        looking.result()
        state = followed.state
        return state if state is not None and state.number > self._written else None

    async def _is_leaving(self, seconds: float) -> bool:
        """Whether the server is to end, within these seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), seconds)
        return self._leaving.is_set()

    def _behind(self, followed: Followed) -> list[str]:
        """Sentences about workers that do not serve the newest state, a while after it came; they are told again."""
        newest = followed.state.number if followed.state is not None else 0
        late = [one for one in self._workers if one.serves.is_set() and one.number < newest]
        now = time.monotonic()
        if not late:
            self._tell_again = now + RETRY_SECONDS
        if not late or now < self._tell_again:
            return self._late if late else []
        self._tell_again = now + RETRY_SECONDS
        for one in late:
            one.tell()
        reasons = {one.refusal or "it did not say why" for one in late}
        self._late = [f"a worker goes on with what it serves: {reason}" for reason in sorted(reasons)]
        return self._late


def _measure(folder: Path) -> "Gauge":
    """Begin to measure in the folder, as the workers do."""
    folder.mkdir()
    # The library reads this when it is imported.
    os.environ[METRICS_VARIABLE] = str(folder)
    from champion.serving.metrics import FOLLOWS

    return FOLLOWS
