"""The task of a server's parent that ships what its workers answered to the prediction log."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Self

from champion.core.errors import UserError
from champion.core.masking import masked
from champion.delivery.followed import RETRY_SECONDS
from champion.environments import Environment
from champion.predictions.log import PredictionLog
from champion.predictions.shipping import Shipper

SHIP_SECONDS = 0.5
# How long the end of a server may take to ship what is left.
LAST_SECONDS = 10.0


class LogShipping:
    """Ships from `begin` to `end`. `troubles` has a sentence while the log cannot be reached."""

    def __init__(self, shipper: Shipper, alert: Callable[[str], None]) -> None:
        self.troubles: list[str] = []
        self._shipper = shipper
        self._alert = alert
        self._pool = ThreadPoolExecutor(1, "shipping", give_way)
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, environment: Environment, alert: Callable[[str], None]) -> Self | None:
        """For the environment's log; None where answers are not logged. `alert` hears of a damaged spool."""
        if environment.predictions_url is None:
            return None
        days = environment.predictions.retention_days
        retention = None if days is None else timedelta(days=days)
        log = PredictionLog(environment.predictions_url, environment.name)
        shipper, damaged = Shipper.open(log, environment.spool, retention)
        if damaged is not None:
            alert(f"{environment.spool} was damaged, and is {damaged.name} now: what it had is not in the log")
        return cls(shipper, alert)

    def begin(self) -> None:
        """Ship from now on."""
        self._task = asyncio.create_task(self._keep_shipping())

    async def end(self) -> None:
        """Ship what the workers left; what does not find its way in time waits for the next server."""
        if self._task is not None:
            self._task.cancel()
        until = time.monotonic() + LAST_SECONDS
        try:
            while time.monotonic() < until and await self._ship():
                pass
        except Exception as error:
            self._alert(told(error))
        await asyncio.get_running_loop().run_in_executor(self._pool, self._shipper.close)
        self._pool.shutdown()

    async def _keep_shipping(self) -> None:
        while True:
            try:
                pause = 0.0 if await self._ship() else SHIP_SECONDS
                self.troubles = []
            except Exception as error:
                # The workers go on, and keep what they answer.
                self.troubles, pause = [told(error)], RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _ship(self) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._shipper.ship)


def give_way() -> None:
    """Let the workers have the processor first."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def told(error: Exception) -> str:
    """What a person can read of the error. The text of an unexpected one may hold a secret."""
    return (
        masked(str(error))
        if isinstance(error, UserError | OSError)
        else f"an unexpected {type(error).__name__} happened"
    )
