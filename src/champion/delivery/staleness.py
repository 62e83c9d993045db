"""Whether to train again: the triggers of an environment, recorded."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial

import polars as pl

from champion.core.errors import UserError
from champion.delivery.recent_drift import choose_origin, choose_window, read_reference
from champion.delivery.recent_performance import (
    PerformanceParams,
    answer_matured,
    known_until,
    read_params,
    watched_version,
)
from champion.delivery.recent_rows import read_recent
from champion.delivery.source_rows import read_source, registered_params
from champion.monitoring.drift import measure_drift
from champion.monitoring.performance import Measured, measure
from champion.monitoring.triggers import (
    AGE,
    DRIFT,
    PERFORMANCE,
    VOLUME,
    Best,
    Check,
    Trigger,
    count_volume,
    find_age,
    find_drift,
    find_performance,
    find_volume,
    settle,
)
from champion.pipeline.prepare.labels import known_from
from champion.registry import history
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.versions import Version
from champion.table.columns import TARGET

FIRST = "first training"


def check_staleness(registry: Registry, warn: Callable[[str], None]) -> tuple[Row, list[Trigger]]:
    """The triggers of the environment by today's params.yaml, and the ledger's new row with them.

    A trigger whose value cannot be read is unknown, and `warn` gets the reason. Without a registered version, the first
    training is due. Raises `UserError` when params.yaml or the ledger cannot be read.
    """
    params, environment = read_params(registry), registry.environment.name
    triggers = _find(registry, params, datetime.now(UTC), warn)
    is_due = any(one.verdict == "due" for one in triggers)
    details = {"due": is_due, "triggers": [one.describe() for one in triggers]}
    with registry.ledger.appending() as session:
        row = session.append(history.SHOULD_RETRAIN, environment=environment, details=details)
    return row, triggers


def _find(registry: Registry, params: PerformanceParams, now: datetime, warn: Callable[[str], None]) -> list[Trigger]:
    rows, limits = registry.rows, params.monitoring.triggers
    last = history.last_training(rows)
    first = Trigger.of(FIRST, 0, 1, "no version is registered", exceeded=True)
    if last is None:
        return [first]
    moments = history.moments(rows, now)
    trained = moments[rows.index(last)]
    if not history.versions(rows):
        return settle([first], [], trained, limits, now)
    version = watched_version(registry)
    find: dict[str, Callable[[], Trigger]] = {}
    if limits.age is not None:
        find[AGE] = partial(find_age, limits.age, trained, now)
    if limits.performance is not None:
        find[PERFORMANCE] = partial(_performance, registry, version, params, limits.performance)
    if limits.psi is not None or limits.drifted_share is not None:
        find[DRIFT] = partial(_drift, registry, version, params)
    if limits.volume is not None:
        find[VOLUME] = partial(_volume, registry, last, limits.volume)
    found = []
    for name, measured in find.items():
        try:
            found.append(measured())
        except UserError as error:
            warn(f"the trigger {name} is unknown: {error}")
            found.append(Trigger.unknown(name, None, str(error).removesuffix(".")))
    return settle(found, list(_checks(registry, moments, last)), trained, limits, now)


def _checks(registry: Registry, moments: list[datetime], last: Row) -> Iterator[Check]:
    """The environment's checks since the last training."""
    for row, moment in zip(registry.rows, moments, strict=True):
        of_here = row.action == history.SHOULD_RETRAIN and row.environment == registry.environment.name
        if of_here and row.sequence > last.sequence:
            triggers = row.details.get("triggers", ())
            yield Check(moment, {str(one["name"]): one["exceeded"] for one in triggers})


def _performance(registry: Registry, version: Version, params: PerformanceParams, share: float) -> Trigger:
    origin, monitoring = choose_origin(registry), params.monitoring
    best = _best(registry, version, params.challenge.metric)
    if known_until(registry, origin) is None:
        reason = "nobody said up to which day all events are known (`champion outcomes --complete-through`)"
        return find_performance(share, Measured(0, reason=reason), version.name, best)
    rows = answer_matured(registry, version, origin, monitoring.window)
    measured = measure(rows, monitoring.min_rows, params.evaluate)
    return find_performance(share, measured, version.name, best)


def _best(registry: Registry, version: Version, metric: str) -> Best | None:
    """Of the last trainings whose models answer the same question: of another label the metric says nothing."""
    question = version.params.get("label")
    same = [one for one in history.versions(registry.rows).values() if one.params.get("label") == question]
    return Best.of(metric, [(one.name, one.metrics.get(metric)) for one in same])


def _drift(registry: Registry, version: Version, params: PerformanceParams) -> Trigger:
    origin, monitoring = choose_origin(registry), params.monitoring
    limits = monitoring.triggers
    since, until = choose_window(origin, None, None, monitoring)
    reference = read_reference(registry, version)
    parts = read_recent(registry, version, since, until, origin)
    features = [str(feature["name"]) for feature in version.features]
    return find_drift(
        limits.psi, limits.drifted_share, measure_drift(reference, features, parts, monitoring, version.name)
    )


def _volume(registry: Registry, last: Row, share: float) -> Trigger:
    """By the newest version's params: a training reads the source in nearly the same way."""
    version = list(history.versions(registry.rows).values())[-1]
    params = registered_params(version)
    as_of = last.details.get("as_of") or version.params.get("as_of")
    if params.calendar is None or as_of is None:
        return Trigger.unknown(VOLUME, share, f"the table of {version.name} has no dates")
    day, today = date.fromisoformat(str(as_of)), datetime.now(UTC).date()
    when = pl.col(params.table.named("date")[0])
    rows = read_source(registry, version, params, max(today, day), params.calendar.first_trained(day))
    known = known_from(params.table, params.label)
    return find_volume(share, *count_volume(rows.drop_nulls(TARGET), when, known, day), day)
