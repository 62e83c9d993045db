"""Which version answers a request: the live one, or one that a flag chooses while it is sound; and the shadow.

A challenger must not harm anyone. It scores in a thread of its own with a time limit. When it raises an error or is too
slow, the live version answers. When that has happened too often, it is asked no more.
"""

import asyncio
from collections import defaultdict, deque
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
from champion.serving.explainer import Explainer
from champion.serving.live_model import LiveModel, OpenVersion
from champion.serving.schema import FlagChoice, Prediction
from champion.serving.scoring import predictions, score

Scores = NDArray[np.float64]
# The number of a challenger's last answers that are looked at.
LOOKED_AT = 100
# Rows that may wait for the shadow. One that cannot follow loses rows instead of memory.
MAX_WAITING = 5000


class _Challenger:
    """What a worker knows of a version that flags choose. It has a thread of its own, as it may hang."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "challenger")
        self.batcher = Batcher(self.pool)
        self.explainer = Explainer()
        # How its last answers failed, or None.
        self.last: deque[str | None] = deque(maxlen=LOOKED_AT)
        self.is_unsound = False

    def pools(self) -> list[ThreadPoolExecutor]:
        """Its threads."""
        return [self.pool, self.explainer.pool]


class _Shadow:
    """The thread of a version that scores in the shadow, and the rows that wait for it."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "shadow")
        self.waiting = 0

    def pools(self) -> list[ThreadPoolExecutor]:
        """Its thread."""
        return [self.pool]

    def end_waiting(self, rows: int, _: Any) -> None:
        """Note that these rows wait no more."""
        self.waiting -= rows


class Router:
    """The routes of one worker. `tell` gets an event for the supervisor."""

    def __init__(self, settings: Serving, tell: Callable[[dict[str, Any]], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._challengers: defaultdict[str, _Challenger] = defaultdict(_Challenger)
        self._shadows: defaultdict[str, _Shadow] = defaultdict(_Shadow)

    def begin(self, live: LiveModel) -> None:
        """Forget the versions that this one does not use. What their threads still do, they may end."""
        for name in {*self._challengers, *self._shadows} - set(live.versions):
            for one in (self._challengers.pop(name, None), self._shadows.pop(name, None)):
                for pool in one.pools() if one is not None else ():
                    pool.shutdown(wait=False)

    def choose(self, live: LiveModel, user_id: str | None) -> tuple[OpenVersion, FlagChoice | None]:
        """The version for a user, and the flag that chose it; None without a rollout or a user."""
        if live.flags is None or user_id is None:
            return live.live, None
        choice = live.flags.choose(user_id)
        if choice is None:
            return live.live, None
        challenger = self._challengers[choice.version]
        if challenger.is_unsound:
            return live.live, fallback(choice.flag)
        return live.versions[choice.version], FlagChoice(choice.flag, choice.variant, choice.reason)

    async def ask_challenger(self, version: OpenVersion, rows: Sequence[Reading]) -> Scores | None:
        """The challenger's probabilities; None when it raised an error or was too slow."""
        challenger = self._challengers[version.name]
        failure, scores = None, None
        try:
            async with asyncio.timeout(self._settings.challenger_ms / 1000):
                scores = await challenger.batcher.score(version.scorer, rows)
        except TimeoutError:
            failure = "slow"
        except Exception:
            # A broken model can raise any exception. It is counted, and told to the supervisor.
            failure = "error"
        if scores is not None and not np.isfinite(scores).all():
            failure, scores = "error", None
        if failure is not None:
            self.count_failure(version, failure)
        else:
            challenger.last.append(None)
        return scores

    def explainer(self, version: OpenVersion) -> Explainer:
        """Who finds the reasons of the challenger's answers."""
        return self._challengers[version.name].explainer

    def count_failure(self, version: OpenVersion, failure: str) -> None:
        """Note that the challenger was `slow`, or raised an `error`, and ask it no more when it did so too often."""
        challenger = self._challengers[version.name]
        challenger.last.append(failure)
        metrics.FALLBACKS.labels(version.name, failure).inc()
        self._judge(version.name, challenger)

    def ask_shadow(self, version: OpenVersion, rows: Sequence[dict[str, Any]], answered: Sequence[Prediction]) -> None:
        """Let the shadow score the rows, without waiting for it."""
        shadow = self._shadows[version.name]
        if shadow.waiting + len(rows) > MAX_WAITING:
            metrics.SHADOW_DROPPED.labels(version.name).inc(len(rows))
            return
        shadow.waiting += len(rows)
        asked = asyncio.get_running_loop().run_in_executor(shadow.pool, _compare, version, rows, answered)
        asked.add_done_callback(partial(shadow.end_waiting, len(rows)))

    def close(self) -> None:
        """Wait for no thread: a challenger may never end."""
        known: list[_Challenger | _Shadow] = [*self._challengers.values(), *self._shadows.values()]
        for pool in (pool for one in known for pool in one.pools()):
            pool.shutdown(wait=False, cancel_futures=True)

    def _judge(self, name: str, challenger: _Challenger) -> None:
        """Ask a challenger no more that failed too often, and tell the supervisor."""
        slow, errors = challenger.last.count("slow"), challenger.last.count("error")
        if slow + errors < self._settings.challenger_failures or challenger.is_unsound:
            return
        challenger.is_unsound = True
        last = f"{slow + errors} of its last {len(challenger.last)} answers"
        reason = f"{name} failed in {last}: {slow} slow, {errors} errors"
        self._tell({"event": "unsound", "version": name, "reason": reason})


def fallback(flag: str) -> FlagChoice:
    """The choice of a flag whose version failed."""
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
