"""The parent of a server's workers: it follows the store and the ledger, and makes effects of the workers' events.

Only it knows the ledger's address and keys. When workers find a challenger unsound, it ends the rollout once: one row,
one change of flags, one notification.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.core.errors import ConflictError, UnavailableError, UserError
from champion.core.values import escaped
from champion.delivery import rollout, webhook
from champion.delivery.deployment import record_refusal
from champion.delivery.followed import Followed, Refused
from champion.registry.registry import Registry
from champion.serving import limits
from champion.serving.orders import Orders
from champion.serving.state import State

if TYPE_CHECKING:
    from prometheus_client import Gauge

# A switch is followed within a second; most of it is the test of the model.
LOOK_SECONDS = 0.2
START_SECONDS = 60.0
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# How long the workers may take to end before they are killed.
END_SECONDS = 40.0
# How long to wait before a worker that ended is started again.
PAUSE_SECONDS = 0.5
# The environment variables that a worker gets: none holds an address or a secret.
PASSED_ON = frozenset({"HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV"})


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
        self._workers: list[_Worker] = []
        self._troubles: set[str] = set()
        self._recorded: set[str] = set()
        # Why a version's rollout must end, until it has.
        self._unsound: dict[str, str] = {}
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
            follows = _measure(folder / "metrics")
            limits.make_file(folder, self._count)
            orders = [self._orders(folder, number) for number in range(self._count)]
            self._workers = [_Worker(one, self._hear, self._alert) for one in orders]
            keeping = [asyncio.create_task(worker.keep()) for worker in self._workers]
            try:
                await self._await_start()
                self._greet(state)
                await self._follow(followed, folder, follows)
            finally:
                # Only when no process has the socket open do clients know that nobody will answer.
                self._listener.close()
                await asyncio.gather(*(worker.end() for worker in self._workers))
                await asyncio.gather(*keeping, return_exceptions=True)

    def _orders(self, folder: Path, number: int) -> Orders:
        settings = self._registry.environment.serving.model_dump()
        return Orders(number, self._count, str(folder), self._listener.fileno(), -1, settings)

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
        print(f"{state.environment} serves {state.live} at http://{host}:{port} with {workers}", flush=True)
        if self._registry.environment.serving.keys_required and not state.keys:
            command = f"`champion keys add NAME --env {state.environment}`"
            self._say(f"there is no API key yet, so every request is refused. Make one: {command}")

    async def _follow(self, followed: Followed, folder: Path, follows: "Gauge") -> None:
        """Take up each change, until the end; `follows` is 1 while there is no trouble."""
        live = followed.state.live if followed.state is not None else ""
        while not self._leaving.is_set():
            troubles = []
            try:
                state = await asyncio.to_thread(followed.look)
                troubles = followed.troubles
            except (UserError, OSError) as error:
                state, troubles = None, [str(error)]
            if state is not None:
                state.write(folder)
                for worker in self._workers:
                    worker.tell()
                if state.live != live:
                    live = state.live
                    print(f"{state.environment} serves {live} now", flush=True)
            await self._record_refusals(followed)
            await self._end_unsound()
            self._alert_once(troubles)
            follows.set(not troubles)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), LOOK_SECONDS)

    async def _record_refusals(self, followed: Followed) -> None:
        """Append a row for each version that was refused, once."""
        for one in followed.refused:
            if one.version.name not in self._recorded:
                self._recorded.add(one.version.name)
                await self._act(partial(self._record_refusal, one))
        self._recorded &= {one.version.name for one in followed.refused}

    async def _end_unsound(self) -> None:
        """End the rollout of versions that workers found unsound; try again until it has ended."""
        for version, reason in list(self._unsound.items()):
            if await self._act(partial(self._stop_rollout, reason)):
                del self._unsound[version]

    def _record_refusal(self, one: Refused) -> None:
        record_refusal(self._open_registry(), one.version, one.report)

    def _stop_rollout(self, reason: str) -> None:
        rollout.stop(self._open_registry(), reason=reason, automatic=True)

    async def _act(self, effect: Callable[[], object]) -> bool:
        """Whether the effect is done. If it is not, an alert says why."""
        try:
            await asyncio.to_thread(effect)
        except (UserError, OSError) as error:
            self._alert_once([str(error)], keep=True)
            return False
        return True

    def _hear(self, worker: int, event: dict[str, Any]) -> None:
        """Do what a worker's event asks for."""
        if event["event"] == "refused":
            self._alert(f"worker {worker} goes on with what it serves: {event['reason']}")
        elif event["event"] == "unsound":
            self._unsound.setdefault(event["version"], event["reason"])

    def _alert_once(self, troubles: Sequence[str], *, keep: bool = False) -> None:
        """Alert to each trouble when it begins."""
        for trouble in troubles:
            if trouble not in self._troubles:
                self._alert(trouble)
        self._troubles = self._troubles | set(troubles) if keep else set(troubles)

    def _alert(self, text: str) -> None:
        """Print a warning, and send it to the webhook if there is one."""
        self._say(text)
        if os.environ.get(webhook.VARIABLE):
            message = f"the server of {self._registry.environment.name} on {socket.gethostname()}: {text}"
            asyncio.get_running_loop().run_in_executor(None, self._send, message)

    def _send(self, text: str) -> None:
        try:
            webhook.send(escaped(text))
        except UserError as error:
            self._say(str(error))

    def _say(self, text: str) -> None:
        print(f"warning: {escaped(text)}", file=sys.stderr, flush=True)


class _Worker:
    """One worker process, which is started again when it ends."""

    def __init__(
        self, orders: Orders, hear: Callable[[int, dict[str, Any]], None], alert: Callable[[str], None]
    ) -> None:
        self.serves = asyncio.Event()
        self._orders = orders
        self._hear = hear
        self._alert = alert
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ending = False

    async def keep(self) -> None:
        """Run the process, and start it again when it ends, until `end`."""
        while not self._ending:
            own, its = socket.socketpair()
            with its:
                orders = self._orders.with_channel(its.fileno())
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "champion.serving.worker", json.dumps(asdict(orders))),
                    env=_environment(Path(orders.folder)),
                    pass_fds=(orders.listener, orders.channel),
                    stdin=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            reader, self._writer = await asyncio.open_connection(sock=own)
            # A state that came while the process started may be newer than the one that it read.
            self.tell()
            while line := await reader.readline():
                event = json.loads(line)
                if event["event"] == "serves":
                    self.serves.set()
                else:
                    self._hear(self._orders.worker, event)
            self._writer.close()
            status = await self._process.wait()
            if not self._ending:
                how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
                self._alert(f"worker {self._orders.worker} ended ({how}), and is started again")
                await asyncio.sleep(PAUSE_SECONDS)

    def tell(self) -> None:
        """Say that the state has changed."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(b"state\n")

    async def end(self) -> None:
        """Let the process end after its requests; kill it when that takes too long."""
        self._ending = True
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), END_SECONDS)
        except TimeoutError:
            self._process.kill()


def _measure(folder: Path) -> "Gauge":
    """Begin to measure in the folder, as the workers do."""
    folder.mkdir()
    # The library reads this when it is imported.
    os.environ[METRICS_VARIABLE] = str(folder)
    from champion.serving.metrics import FOLLOWS

    return FOLLOWS


def _environment(folder: Path) -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if name in PASSED_ON}
    # A worker imports nothing from the folder in which the server was started.
    return passed | {METRICS_VARIABLE: str(folder / "metrics"), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
