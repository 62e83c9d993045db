"""When to train again: by the age of the last training, performance, drift, and the volume of new labels."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal, Self

import polars as pl

from champion.core.values import finite, rounded
from champion.monitoring.drift import Drift
from champion.monitoring.performance import Measured
from champion.params import Triggers
from champion.table.window import Length, shift

Verdict = Literal["due", "not due", "unknown"]
AGE, PERFORMANCE, DRIFT, VOLUME = "age", "performance", "drift", "volume"
# These vary by chance, so one check says little.
NOISY = frozenset({PERFORMANCE, DRIFT})
# The best of so many trainings is what performance is compared with.
TRAININGS = 30
# What runs once a day does not begin at the same second each day.
TOLERANCE = timedelta(hours=1)


@dataclass(frozen=True)
class Trigger:
    """A reason to train again.

    `exceeded` says whether the value is beyond the threshold now, None if nobody knows. The verdict is "due" if it is,
    until `settle` looks at the past. `evidence` is a sentence without its full stop.
    """

    name: str
    value: float | None
    threshold: float | None
    exceeded: bool | None
    evidence: str
    verdict: Verdict

    @classmethod
    def of(cls, name: str, value: float, threshold: float, evidence: str, *, exceeded: bool) -> "Trigger":
        """The trigger whose value is known."""
        return cls(name, value, threshold, exceeded, evidence, "due" if exceeded else "not due")

    @classmethod
    def unknown(cls, name: str, threshold: float | None, reason: str) -> "Trigger":
        """The trigger whose value is not known for this reason."""
        return cls(name, None, threshold, None, reason, "unknown")

    def describe(self) -> dict[str, Any]:
        """The trigger as JSON."""
        described: dict[str, Any] = rounded(asdict(self))
        return described


@dataclass(frozen=True)
class Check:
    """An earlier check: when it was, and by name whether each trigger was beyond its threshold."""

    moment: datetime
    exceeded: Mapping[str, bool | None]


@dataclass(frozen=True)
class Best:
    """The version with the best `value` of the `metric` at its registration, among the last `trainings`."""

    version: str
    metric: str
    value: float
    trainings: int

    @classmethod
    def of(cls, metric: str, trainings: Sequence[tuple[str, Any]]) -> Self | None:
        """The best of the last 30 of these versions, oldest first, each with its value; None if none has a number."""
        values = {name: value for name, given in trainings[-TRAININGS:] if (value := finite(given)) is not None}
        if not values:
            return None
        name = max(values, key=values.__getitem__)
        return cls(name, metric, values[name], len(values))


def find_age(limit: Length, last: datetime, now: datetime) -> Trigger:
    """Due when the last training is that old. Value and threshold are in days."""
    age, allowed = (_days(one - last) for one in (now, shift_moment(last, limit)))
    evidence = f"the last training was on {last:%Y-%m-%d %H:%M} UTC"
    return Trigger.of(AGE, age, allowed, evidence, exceeded=now >= shift_moment(last, limit) - TOLERANCE)


def find_performance(share: float, measured: Measured, version: str, best: Best | None) -> Trigger:
    """Due when the upper end of the version's metric is below this share of the best training's.

    So it is due only if the rows leave hardly a doubt. `measured` is of rows whose label became known lately.
    """
    if best is None:
        return Trigger.unknown(PERFORMANCE, None, f"no version that answers the question of {version} has the metric")
    threshold = share * best.value
    if measured.metrics is None:
        return Trigger.unknown(PERFORMANCE, threshold, f"of {version}: {measured.reason}")
    value, low, high = (finite(measured.metrics.get(f"{best.metric}{end}")) for end in ("", "_low", "_high"))
    if value is None or low is None or high is None:
        return Trigger.unknown(PERFORMANCE, threshold, f"the rows do not define {best.metric} of {version}")
    evidence = (
        f"{best.metric} of {version} on {measured.rows:,} rows whose label became known lately is {value:.4f} "
        f"[{low:.4f}, {high:.4f}]; the best of the last {best.trainings} trainings is {best.value:.4f} "
        f"({best.version}), of which {share:.0%} are {threshold:.4f}"
    )
    return Trigger.of(PERFORMANCE, high, threshold, evidence, exceeded=high < threshold)


def find_drift(psi: float | None, drifted_share: float | None, drift: Drift) -> Trigger:
    """Due when the largest PSI of a feature or of the score, or the share of drifted features, is above its limit.

    A limit that is None is off. Value and threshold are of the limit that is exceeded, the PSI first.
    """
    largest, shared = drift.largest, drift.drifted_share
    peak = "" if largest is None else f"{largest.column} has the largest PSI ({largest.psi:.3f})"
    measured = [(drift.largest_psi, psi, peak), (shared, drifted_share, _shared(shared))]
    limits = [(value, limit, told) for value, limit, told in measured if limit is not None]
    known = [(value, limit, told) for value, limit, told in limits if value is not None]
    if not known:
        reason = "; ".join(drift.findings) or "no column can be compared"
        return Trigger.unknown(DRIFT, limits[0][1], reason)
    value, limit, _ = next((one for one in known if one[0] > one[1]), known[0])
    evidence = f"of {drift.rows:,} recent rows, {' and '.join(told for _, _, told in known)}"
    return Trigger.of(DRIFT, value, limit, evidence, exceeded=value > limit)


def find_volume(share: float, labelled: int, trained: int, as_of: object) -> Trigger:
    """Due when so many rows were labelled since the last training, as a share of the rows that it learned from."""
    if not trained:
        return Trigger.unknown(VOLUME, share, f"the source has no row that a training as of {as_of} learned from")
    evidence = f"{labelled:,} rows got their label after {as_of}, and the training of that date had {trained:,}"
    return Trigger.of(VOLUME, labelled / trained, share, evidence, exceeded=labelled / trained >= share)


def count_volume(labelled: pl.DataFrame, when: pl.Expr, known: pl.Expr, day: date) -> tuple[int, int]:
    """How many of these rows, which all have a label, a training of that day did not know yet, and how many it knew.

    `when` is a row's date, and `known` the date from which its label is known.
    """
    knew = (known <= day) & (when < day)
    counts = labelled.select(new=(~knew).sum(), known=knew.sum())
    return counts["new"][0], counts["known"][0]


def settle(
    triggers: Sequence[Trigger], checks: Sequence[Check], last: datetime, params: Triggers, now: datetime
) -> list[Trigger]:
    """The triggers with their verdicts in the light of the past.

    - Nothing is due before `params.cool_down` after the last training.
    - Performance and drift are due only if they were beyond their thresholds at every check since at least
      `params.debounce` ago. `checks` are those since the last training, in their order, and none is after `now`.
    """
    found = [_debounced(one, checks, params.debounce, now) if one.name in NOISY else one for one in triggers]
    until = shift_moment(last, params.cool_down)
    if now >= until:
        return found
    return [
        _not_yet(one, f"nothing is due before {until:%Y-%m-%d %H:%M} UTC, as the last training is so recent")
        for one in found
    ]


def _debounced(trigger: Trigger, checks: Sequence[Check], debounce: Length, now: datetime) -> Trigger:
    since = now
    for check in reversed(checks):
        if check.exceeded.get(trigger.name) is not True:
            break
        since = check.moment
    if now >= shift_moment(since, debounce) - TOLERANCE:
        return trigger
    return _not_yet(trigger, f"it is so since {since:%Y-%m-%d %H:%M} UTC, and must be so for {described(debounce)}")


def _not_yet(trigger: Trigger, reason: str) -> Trigger:
    if trigger.verdict != "due":
        return trigger
    return replace(trigger, verdict="not due", evidence=f"{trigger.evidence}; {reason}")


def _shared(share: float | None) -> str:
    return "" if share is None else f"{share:.0%} of the features drifted"


def shift_moment(moment: datetime, length: Length) -> datetime:
    """The moment a length later."""
    return datetime.combine(shift(moment.date(), length, 1), moment.timetz())


def described(length: Length) -> str:
    """The length in words."""
    number, unit = (length, "month") if isinstance(length, int) else (int(length.removesuffix("d")), "day")
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _days(time: timedelta) -> float:
    return time / timedelta(days=1)
