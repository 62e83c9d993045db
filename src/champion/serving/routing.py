"""Which version answers a request: the live one, or one that a flag chooses while it is sound; and the shadow.

A challenger must not harm anyone. It scores in a thread of its own with a time limit. When it raises an error or is too
slow, the live version answers. When that has happened too often, it is asked no more.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from champion.environments import Serving
from champion.model.onnx_scorer import Reading
from champion.serving import metrics
from champion.serving.batching import Batcher
from champion.serving.live_model import LiveModel, OpenVersion
from champion.serving.schema import FlagChoice, Prediction
from champion.serving.scoring import predictions, score

Scores = NDArray[np.float64]
# The number of a challenger's last answers that are looked at.
LOOKED_AT = 100
# Rows that may wait for the shadow. One that cannot follow loses rows instead of memory.
MAX_WAITING = 5000


class Router:
    """The routes of one worker. `tell` gets an event for the supervisor."""

    def __init__(self, settings: Serving, tell: Callable[[dict[str, Any]], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._open_threads()
        # The last answers of each challenger: how one failed, or None.
        self._last: dict[str, deque[str | None]] = {}
        self._unsound: set[str] = set()
        self._versions: set[str] = set()

    def _open_threads(self) -> None:
        self._challengers = ThreadPoolExecutor(1, "challenger")
        self._challenging = Batcher(self._challengers)
        self._shadows = ThreadPoolExecutor(1, "shadow")
        # The rows that wait for the shadow, in a list, as those of an earlier shadow may come to an end later.
        self._waiting = [0]

    def begin(self, live: LiveModel) -> None:
        """Forget what was seen of versions that this one does not use."""
        if set(live.versions) != self._versions:
            # A version that hangs must not hold up the next one.
            self.close()
            self._open_threads()
        self._versions = set(live.versions)
        self._unsound &= set(live.versions)
        self._last = {name: seen for name, seen in self._last.items() if name in live.versions}

    def choose(self, live: LiveModel, user_id: str | None) -> tuple[OpenVersion, FlagChoice | None]:
        """The version for a user, and the flag that chose it; None without a rollout or a user."""
        if live.flags is None or user_id is None:
            return live.live, None
        choice = live.flags.choose(user_id)
        if choice is None:
            return live.live, None
        if choice.version in self._unsound:
            return live.live, _fallback(choice.flag)
        return live.versions[choice.version], FlagChoice(choice.flag, choice.variant, choice.reason)

    async def ask_challenger(self, version: OpenVersion, rows: Sequence[Reading]) -> Scores | None:
        """The challenger's probabilities; None when it raised an error or was too slow."""
        failure, scores = None, None
        try:
            async with asyncio.timeout(self._settings.challenger_ms / 1000):
                scores = await self._challenging.score(version.scorer, rows)
        except TimeoutError:
            failure = "slow"
        except Exception:
            # A broken model can raise any exception. It is counted, and told to the supervisor.
            failure = "error"
        if scores is not None and not np.isfinite(scores).all():
            failure, scores = "error", None
        self.note(version.name, failure)
        return scores

    def ask_shadow(self, shadow: OpenVersion, rows: Sequence[dict[str, Any]], answered: Sequence[Prediction]) -> None:
        """Let the shadow score the rows, without waiting for it."""
        if self._waiting[0] + len(rows) > MAX_WAITING:
            metrics.SHADOW_DROPPED.labels(shadow.name).inc(len(rows))
            return
        self._waiting[0] += len(rows)
        asked = asyncio.get_running_loop().run_in_executor(self._shadows, _compare, shadow, rows, answered)
        asked.add_done_callback(partial(_end_waiting, self._waiting, len(rows)))

    def close(self) -> None:
        """Wait for no thread: a challenger may never end."""
        self._challengers.shutdown(wait=False, cancel_futures=True)
        self._shadows.shutdown(wait=False, cancel_futures=True)

    def note(self, version: str, failure: str | None) -> None:
        """Remember how the version's last answer failed, or that it did not; too many failures make it unsound."""
        seen = self._last.setdefault(version, deque(maxlen=LOOKED_AT))
        seen.append(failure)
        if failure is None:
            return
        metrics.FALLBACKS.labels(version, failure).inc()
        slow, errors = seen.count("slow"), seen.count("error")
        if slow + errors >= self._settings.challenger_failures and version not in self._unsound:
            self._unsound.add(version)
            reason = (
                f"{version} failed in {slow + errors} of its last {len(seen)} answers: {slow} slow, {errors} errors"
            )
            self._tell({"event": "unsound", "version": version, "reason": reason})


def _end_waiting(waiting: list[int], rows: int, _: Any) -> None:
    waiting[0] -= rows


def fallback(choice: FlagChoice | None) -> FlagChoice | None:
    """The flag's choice after its version failed."""
    return None if choice is None else _fallback(choice.key)


def _fallback(flag: str) -> FlagChoice:
    return FlagChoice(flag, "off", "ERROR")


def _compare(shadow: OpenVersion, rows: Sequence[dict[str, Any]], answered: Sequence[Prediction]) -> None:
    """Measure how far the shadow's answers are from those that were given."""
    try:
        own = predictions(shadow, *score(shadow, rows))
    except Exception:
        # A broken model can raise any exception, and nobody waits for this answer.
        metrics.SHADOW_ERRORS.labels(shadow.name).inc()
        return
    metrics.SHADOW_ROWS.labels(shadow.name).inc(len(rows))
    for one, other in zip(own, answered, strict=True):
        if one.decision != other.decision:
            metrics.SHADOW_OTHER.labels(shadow.name).inc()
        if one.probability is not None and other.probability is not None:
            metrics.SHADOW_DIFFERENCE.labels(shadow.name).inc(abs(one.probability - other.probability))
