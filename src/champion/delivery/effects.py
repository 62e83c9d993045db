"""What a server changes: it records a version that it refuses, and ends the rollout of one that a worker finds unsound.

Each is one ledger row. When it fails, the server goes on and tries again.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from champion.delivery import rollout
from champion.delivery.followed import RETRY_SECONDS, Followed, Refused
from champion.delivery.log_shipping import told
from champion.delivery.proof import record_refusal
from champion.registry.registry import Registry


class Effects:
    """The effects of one server. `open_registry` opens its ledger and stores anew, for each of them."""

    def __init__(self, open_registry: Callable[[], Registry]) -> None:
        self._open_registry = open_registry
        self._recorded: set[str] = set()
        # Why a version's rollout must end, until it has.
        self._unsound: dict[str, str] = {}
        # Why the last effect failed, and when to try again.
        self._failed: list[str] = []
        self._act_again = 0.0

    def hear(self, event: dict[str, Any]) -> None:
        """Note that a worker found a version unsound."""
        self._unsound.setdefault(event["version"], event["reason"])

    async def act(self, followed: Followed) -> list[str]:
        """Make the effects of what was refused and found unsound. Returns why one failed; then it is tried again."""
        refused = {one.version.name: one for one in followed.refused}
        self._recorded &= set(refused)
        if time.monotonic() < self._act_again:
            return self._failed
        self._failed = []
        for name, one in refused.items():
            if name not in self._recorded and await self._succeeds(partial(self._record_refusal, one)):
                self._recorded.add(name)
        for version, reason in list(self._unsound.items()):
            # Somebody may have been faster.
            is_over = followed.state is None or version not in followed.state.versions
            if is_over or await self._succeeds(partial(self._stop_rollout, version, reason)):
                del self._unsound[version]
        if self._failed:
            self._act_again = time.monotonic() + RETRY_SECONDS
        return self._failed

    async def _succeeds(self, effect: Callable[[], object]) -> bool:
        try:
            await asyncio.to_thread(effect)
        except Exception as error:
            # The server goes on, and tries again.
            self._failed.append(told(error))
            return False
        return True

    def _record_refusal(self, one: Refused) -> None:
        record_refusal(self._open_registry(), one.version, one.report)

    def _stop_rollout(self, version: str, reason: str) -> None:
        rollout.stop(self._open_registry(), reason=reason, unsound=version)
