"""A worker of a server as a process of its parent, which starts it again whenever it ends."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from champion.serving.orders import Orders

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# The environment variables that a worker gets: none holds an address or a secret.
PASSED_ON = frozenset({"HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV"})
# How long a worker may take to end before it is killed.
END_SECONDS = 40.0
# How long a process without a channel may take to end by itself.
LAST_SECONDS = 2.0
# How long to wait before a worker is started again: the longer, the more often it ended soon after its start.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0


class WorkerProcess:
    """One worker. `serves` is set once it answers; `hear` gets its other events, `alert` a sentence when it ends.

    `number` is that of the state that it serves, and `refusal` why it did not take up the newest one.
    """

    def __init__(
        self,
        orders: Orders,
        users_key: bytes | None,
        hear: Callable[[dict[str, Any]], None],
        alert: Callable[[str], None],
    ) -> None:
        self.serves = asyncio.Event()
        self.number = 0
        self.refusal: str | None = None
        self._orders = orders
        self._users_key = users_key
        self._hear = hear
        self._alert = alert
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ending = asyncio.Event()

    async def keep(self) -> None:
        """Run the process, and start it again when it ends, until `end`."""
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            started = time.monotonic()
            try:
                status = await self._run()
                how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
            except Exception as error:
                # Whatever fails, the worker must come back.
                how = type(error).__name__
            if self._ending.is_set():
                return
            pause = FIRST_PAUSE if time.monotonic() > started + LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            self._alert(f"worker {self._orders.worker} ended ({how}), and is started again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)

    def tell(self) -> None:
        """Say that the state has changed."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(b"state\n")

    async def end(self) -> None:
        """Let the process end after its requests; kill it when that takes too long."""
        self._ending.set()
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), END_SECONDS)
        except TimeoutError:
            self._process.kill()

    async def _run(self) -> int:
        """The process from its start to its end; its exit status, negative for a signal."""
        own, its = socket.socketpair()
        with its:
            orders = replace(self._orders, channel=its.fileno())
            process = self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "champion.serving.worker", json.dumps(asdict(orders))),
                env=_environment(Path(orders.folder)),
                pass_fds=(orders.listener, orders.channel),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        if self._ending.is_set():
            # The end came while it was being started.
            process.terminate()
        reader, self._writer = await asyncio.open_connection(sock=own)
        if self._users_key is not None:
            self._writer.write(self._users_key.hex().encode() + b"\n")
        # A state that came while the process started may be newer than the one that it read.
        self.tell()
        # A process that was killed leaves half a line, or a broken channel.
        with contextlib.suppress(ValueError, OSError):
            while line := await reader.readline():
                self._take(json.loads(line))
        self._writer.close()
        if not self._ending.is_set():
            await self._end_without_channel(process)
        status = await process.wait()
        # The library looks for the folder of the measurements when it is imported, so it must be there.
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
        return status

    async def _end_without_channel(self, process: asyncio.subprocess.Process) -> None:
        """End a process that follows nothing any more, unless it ends by itself."""
        # A signal to a process that has just ended would take its exit status away from those who wait for it.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), LAST_SECONDS)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "serves":
            self.number, self.refusal = event["number"], None
            self.serves.set()
        elif event["event"] == "refused":
            self.refusal = event["reason"]
        else:
            self._hear(event)


def _environment(folder: Path) -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if name in PASSED_ON}
    # A worker imports nothing from the folder in which the server was started.
    return passed | {METRICS_VARIABLE: str(folder / "metrics"), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
