"""The task of a server's parent that reads what the page shows, as no worker reaches the ledger and the log."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from champion.delivery.log_shipping import give_way, told
from champion.delivery.recent_drift import measure_drift_over_time
from champion.predictions.labels import Labels
from champion.predictions.log import PredictionLog
from champion.predictions.variants import calibrate, count_variants
from champion.registry import api_keys, history, rollouts, standing
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.served import status_of
from champion.registry.versions import Version
from champion.serving.overview import Answers, Contested, Drifting, Event, Live, Overview, Scored, Span

LOOK_SECONDS = 5.0
# To measure drift, the rows of the log are read.
DRIFT_SECONDS = 3600.0
# To count a large log takes long, so it is at most a 20th of the time.
COUNT_SHARE = 20
EVENTS, CHALLENGES = 20, 10
# What else a ledger has says nothing of what is served.
_SHOWN = {
    *("register", "challenge", "retire", "smoke", "realised", rollouts.ROLL_OUT),
    *history.SWITCHES,
    *api_keys.ACTIONS,
}


class Observer:
    """Writes an overview into the folder again and again, from `begin` to `end`. `troubles` says what else is wrong."""

    def __init__(
        self, open_registry: Callable[[], Registry], folder: Path, troubles: Callable[[], Sequence[str]]
    ) -> None:
        self._open_registry = open_registry
        self._folder = folder
        self._troubles = troubles
        self._read = Overview()
        self._answers: Answers | None = None
        # Why the log could not be counted last.
        self._uncounted: list[str] = []
        self._count_again = 0.0
        self._drifting: Drifting | None = None
        # Why drift could not be measured last.
        self._unmeasured: list[str] = []
        self._ended = threading.Event()
        # To measure drift takes long, and the rest should be shown meanwhile.
        self._pool = ThreadPoolExecutor(2, "observing", give_way)
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Observe from now on."""
        self._tasks = [asyncio.create_task(one) for one in (self._keep_looking(), self._keep_measuring())]

    def end(self) -> None:
        """Observe no more."""
        for task in self._tasks:
            task.cancel()
        self._ended.set()
        # A long query must not hold up the end.
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._look, self._troubles())
            await asyncio.sleep(LOOK_SECONDS)

    async def _keep_measuring(self) -> None:
        while True:
            await asyncio.sleep(await asyncio.get_running_loop().run_in_executor(self._pool, self._measure))

    def _measure(self) -> float:
        """Measure the drift of what the live version answered. Returns how many seconds later to do it again."""
        began = time.monotonic()
        try:
            self._drifting, self._unmeasured = measure_drifting(self._open_registry(), self._ended.is_set), []
        except Exception as error:
            self._unmeasured = [f"the drift of the answers cannot be measured: {told(error)}"]
            return max(LOOK_SECONDS, COUNT_SHARE * (time.monotonic() - began))
        return DRIFT_SECONDS

    def _look(self, troubles: Sequence[str]) -> None:
        """Write an overview. What cannot be read now stays as it was read last, and the page says why."""
        failed = []
        try:
            registry = self._open_registry()
            overview = read_overview(registry)
            self._count(registry)
            self._read = replace(overview, answers=self._answers, drifting=self._drifting).checked()
        except Exception as error:
            failed.append(f"the record cannot be read: {told(error)}")
        found = [*troubles, *self._uncounted, *self._unmeasured, *failed]
        with suppress(OSError):
            # Of a full disk the troubles of the server say enough, and the next look tries again.
            replace(self._read, troubles=list(dict.fromkeys(found))).write(self._folder)

    def _count(self, registry: Registry) -> None:
        """Count the log, if it is time for that."""
        began = time.monotonic()
        if began < self._count_again:
            return
        try:
            self._answers, self._uncounted = count_answers(registry), []
        except Exception as error:
            self._uncounted = [f"the prediction log cannot be counted: {told(error)}"]
        now = time.monotonic()
        self._count_again = now + COUNT_SHARE * (now - began)


def read_overview(registry: Registry) -> Overview:
    """What the record says of the environment now. Raises `UserError` when the ledger cannot be read."""
    rows, environment, version = registry.rows, registry.environment, _live_version(registry)
    shown = [row for row in reversed(rows) if row.action in _SHOWN]
    challenges = [row for row in reversed(rows) if row.action == "challenge"]
    return Overview(
        time=_now(),
        logs_answers=environment.settings.predictions_url is not None,
        champion=standing.champion(rows),
        statuses={name: status_of(other) for name, other in registry.sharing.items()},
        live=None if version is None else _live(version, rows),
        challenges=[_contested(row) for row in challenges[:CHALLENGES]],
        events=[_event(row) for row in shown[:EVENTS]],
    )


def count_answers(registry: Registry) -> Answers | None:
    """What the environment's prediction log says; None where answers are not logged.

    Raises `UserError` when the log cannot be read.
    """
    environment, live = registry.environment, _live_version(registry)
    if environment.predictions_url is None:
        return None
    log = PredictionLog.open(environment)
    try:
        tallies, complete = log.tally(), log.complete_through()
    finally:
        log.close()
    labels = Labels(complete, None if live is None else live.params["label"].get("horizon"))
    name = None if live is None else live.name
    calibration = [] if name is None else calibrate(tallies, labels, name)
    through = None if complete is None else complete.isoformat()
    return Answers(_now(), name, count_variants(tallies, labels), calibration, through)


def measure_drifting(registry: Registry, ended: Callable[[], bool]) -> Drifting | None:
    """The drift of the live version's answers over time; None without such a version, or where answers are not logged.

    Raises `UserError` when it cannot be measured.
    """
    live = _live_version(registry)
    if live is None or registry.environment.predictions_url is None:
        return None
    return measure_drift_over_time(registry, live, ended)


def _live_version(registry: Registry) -> Version | None:
    row = history.live(registry.rows, registry.environment.name)
    return None if row is None else history.versions(registry.rows).get(str(row.version))


def _live(version: Version, rows: Sequence[Row]) -> Live:
    metrics = version.metrics
    low, high = (metrics.get(f"rehearsed_roc_auc_{end}") for end in ("low", "high"))
    realised = [row for row in rows if row.action == "realised" and row.version == version.name]
    return Live(
        version=version.name,
        registered=version.registered,
        git_commit=version.git_commit,
        as_of=version.params.get("as_of"),
        test=_span(metrics, "roc_auc"),
        rehearsals=[
            Scored(f"rehearsal of {one['rehearsal']}", Span(one["roc_auc"]), one["chose"]) for one in version.rehearsals
        ],
        promised=None if low is None or high is None else (low, high),
        realised=[scored for row in realised if (scored := _realised(row.details)) is not None],
        observed_expected=metrics.get("observed_expected"),
    )


def _realised(details: Mapping[str, Any]) -> Scored | None:
    after = details["after"]
    span = _span(after["metrics"] or {}, "roc_auc")
    return None if span is None else Scored(f"came true, {after['first']} to {after['last']}", span)


def _contested(row: Row) -> Contested:
    compared = row.details.get("comparison")
    gain = compared["gain"] if compared else None
    return Contested(
        row=row.sequence,
        time=row.time,
        challenger=str(row.version),
        champion=row.from_version,
        won=row.outcome is True,
        metric=compared["metric"] if compared else None,
        difference=Span(gain["difference"], gain["low"], gain["high"]) if gain else None,
        reason=row.reason,
    )


def _event(row: Row) -> Event:
    result = rollouts.describe(row) if row.action == rollouts.ROLL_OUT else row.result
    action = f"{row.action}, emergency" if row.is_emergency else row.action
    return Event(
        row.sequence, row.time, row.environment, action, row.version, row.from_version, row.actor, row.reason, result
    )


def _span(metrics: Mapping[str, Any], name: str) -> Span | None:
    value = metrics.get(name)
    return None if value is None else Span(value, metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
