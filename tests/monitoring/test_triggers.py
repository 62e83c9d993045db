"""A trigger is due beyond its threshold, and not because of one noisy hour, a clock, or a training that just ended."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from champion.monitoring.column_drift import ColumnDrift
from champion.monitoring.drift import Drift
from champion.monitoring.performance import Measured
from champion.monitoring.triggers import (
    Best,
    Check,
    Trigger,
    find_age,
    find_drift,
    find_performance,
    find_volume,
    settle,
)
from champion.params import Triggers
from champion.registry.chain import Row
from champion.registry.history import RETRAIN, SHOULD_RETRAIN, last_training, moments

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PARAMS = Triggers()
BEST = Best("v2", "roc_auc", 0.8, 7)


@pytest.mark.parametrize(
    ("limit", "ago", "verdict"),
    [
        ("7d", 7 * DAY, "due"),
        ("7d", 8 * DAY, "due"),
        # A weekly run that begins a little earlier than the last one ended.
        ("7d", 7 * DAY - 0.9 * HOUR, "due"),
        ("7d", 7 * DAY - 1.1 * HOUR, "not due"),
        ("7d", timedelta(), "not due"),
        (1, 31 * DAY, "due"),
        (1, 30 * DAY, "not due"),
    ],
)
def test_age_is_due_from_its_limit_on(limit: int | str, ago: timedelta, verdict: str) -> None:
    found = find_age(limit, NOW - ago, NOW)
    assert (found.verdict, found.value) == (verdict, ago / DAY)


def measured(value: float, high: float) -> Measured:
    return Measured(900, {"roc_auc": value, "roc_auc_low": value - 0.1, "roc_auc_high": high})


@pytest.mark.parametrize(("high", "verdict"), [(0.75, "due"), (0.759, "due"), (0.761, "not due"), (0.9, "not due")])
def test_performance_is_due_when_hardly_in_doubt(high: float, verdict: str) -> None:
    found = find_performance(0.95, measured(0.7, high), "v3", BEST)
    assert (found.verdict, found.value, found.threshold) == (verdict, high, pytest.approx(0.76))
    assert "roc_auc of v3 on 900 rows" in found.evidence
    assert "best of the last 7 trainings is 0.8000 (v2)" in found.evidence


def test_performance_at_its_threshold_is_not_due() -> None:
    assert find_performance(0.5, measured(0.3, 0.4), "v3", BEST).verdict == "not due"


@pytest.mark.parametrize(
    ("rows", "best", "reason"),
    [
        (Measured(0, None, "there is no row with a known label"), BEST, "of v3: there is no row with a known label"),
        (measured(float("nan"), 0.7), BEST, "the rows do not define roc_auc of v3"),
        (measured(0.7, 0.7), None, "no version that answers the question of v3 has the metric"),
    ],
)
def test_performance_that_cannot_be_measured_is_unknown(rows: Measured, best: Best | None, reason: str) -> None:
    found = find_performance(0.95, rows, "v3", best)
    assert (found.verdict, found.exceeded, found.value, found.evidence) == ("unknown", None, None, reason)


def column(name: str, psi: float | None, *, drifted: bool | None) -> ColumnDrift:
    fields: dict[str, Any] = dict.fromkeys(ColumnDrift.__dataclass_fields__)
    return ColumnDrift(**fields | {"column": name, "psi": psi, "drifted": drifted, "bins": []})


def drift(*psis: float, score: float = 0.0, judged: bool = True) -> Drift:
    """The drift of features with these PSI, of which those from 0.1 up drifted."""
    features = [column(f"f{number}", psi, drifted=psi >= 0.1 if judged else None) for number, psi in enumerate(psis)]
    found = column("(score)", score, drifted=score >= 0.1 if judged else None)
    fields: dict[str, Any] = dict.fromkeys(Drift.__dataclass_fields__)
    told = [] if judged else ["no verdict: there are only 3 rows"]
    values = {"rows": 1000, "reference_rows": 900, "score": found, "features": features, "findings": told}
    return Drift(**fields | values)


@pytest.mark.parametrize(
    ("found", "verdict", "value", "threshold"),
    [
        (drift(0.2, 0.0), "not due", 0.2, 0.2),
        (drift(0.201, 0.0), "due", 0.201, 0.2),
        (drift(0.0, score=0.3), "due", 0.3, 0.2),
        (drift(0.15, 0.15, 0.0, 0.0), "not due", 0.15, 0.2),
        (drift(0.15, 0.15, 0.15, 0.0), "due", 0.75, 0.5),
        (drift(0.5, 0.5), "due", 0.5, 0.2),
    ],
)
def test_drift_is_due_above_either_limit(found: Drift, verdict: str, value: float, threshold: float) -> None:
    trigger = find_drift(0.2, 0.5, found)
    assert (trigger.verdict, trigger.value, trigger.threshold) == (verdict, value, threshold)


def test_drift_names_the_column_that_moved_most() -> None:
    told = find_drift(0.2, 0.5, drift(0.1, 0.4, 0.2)).evidence
    assert told == "of 1,000 recent rows, f1 has the largest PSI (0.400) and 100% of the features drifted"


def test_a_column_without_a_verdict_is_not_the_one_that_moved_most() -> None:
    found = replace(drift(0.1, 0.4), score=column("(score)", 5.0, drifted=None))
    trigger = find_drift(0.2, None, found)
    assert (trigger.value, trigger.evidence) == (0.4, "of 1,000 recent rows, f1 has the largest PSI (0.400)")


def test_a_limit_of_drift_can_be_off() -> None:
    assert find_drift(None, 0.5, drift(0.9, 0.0)).verdict == "not due"
    assert find_drift(0.2, None, drift(0.15, 0.15)).verdict == "not due"


def test_drift_of_too_few_rows_is_unknown() -> None:
    found = find_drift(0.2, 0.5, drift(0.9, judged=False))
    assert (found.verdict, found.evidence) == ("unknown", "no verdict: there are only 3 rows")


@pytest.mark.parametrize(("labelled", "verdict"), [(199, "not due"), (200, "due"), (2000, "due"), (0, "not due")])
def test_volume_is_due_from_its_share_on(labelled: int, verdict: str) -> None:
    found = find_volume(0.2, labelled, 1000, "2026-11-01")
    assert (found.verdict, found.value) == (verdict, labelled / 1000)


def test_volume_is_unknown_without_rows_of_the_training() -> None:
    assert find_volume(0.2, 10, 0, "2026-11-01").verdict == "unknown"


def exceeded(name: str, is_so: bool | None = True) -> Trigger:
    if is_so is None:
        return Trigger.unknown(name, 0.2, "a reason")
    return Trigger.of(name, 0.3 if is_so else 0.1, 0.2, "evidence", exceeded=is_so)


def verdict(name: str, checks: Sequence[Check], *, now: datetime = NOW, last: datetime = NOW - 30 * DAY) -> str:
    return settle([exceeded(name)], checks, last, PARAMS, now)[0].verdict


def hourly(name: str, answers: str, now: datetime = NOW) -> list[Check]:
    """Checks of the hours before now: `+` is beyond the threshold, `-` is not, and `?` is unknown."""
    states = {"+": True, "-": False, "?": None}
    count = len(answers)
    return [Check(now - (count - number) * HOUR, {name: states[one]}) for number, one in enumerate(answers)]


@pytest.mark.parametrize("name", ["drift", "performance"])
@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("", "not due"),
        ("+", "not due"),
        ("+" * 22, "not due"),
        ("+" * 23, "due"),
        ("+" * 100, "due"),
        ("+" * 50 + "-", "not due"),
        ("+" * 50 + "?", "not due"),
        ("-" + "+" * 23, "due"),
        ("-+" * 20, "not due"),
    ],
)
def test_a_noisy_trigger_must_be_due_at_every_check_of_a_day(name: str, answers: str, expected: str) -> None:
    assert verdict(name, hourly(name, answers)) == expected


@pytest.mark.parametrize("name", ["age", "volume"])
def test_age_and_volume_need_no_second_check(name: str) -> None:
    assert verdict(name, []) == "due"


def test_a_check_once_a_week_makes_two_of_them_due() -> None:
    assert verdict("drift", [Check(NOW - 7 * DAY, {"drift": True})]) == "due"


def test_without_debounce_the_first_check_is_due() -> None:
    params = PARAMS.model_copy(update={"debounce": 0})
    assert settle([exceeded("drift")], [], NOW - 30 * DAY, params, NOW)[0].verdict == "due"


@pytest.mark.parametrize(("ago", "expected"), [(timedelta(), "not due"), (23.9 * HOUR, "not due"), (DAY, "due")])
def test_nothing_is_due_right_after_a_training(ago: timedelta, expected: str) -> None:
    checks = [Check(NOW - number * DAY, dict.fromkeys(("drift", "performance"), True)) for number in (3, 2, 1)]
    names = ("age", "performance", "drift", "volume")
    found = settle([exceeded(name) for name in names], checks, NOW - ago, PARAMS, NOW)
    assert {one.verdict for one in found} == {expected}
    assert all(one.exceeded for one in found)
    assert all(("as the last training is so recent" in one.evidence) == (expected == "not due") for one in found)


def test_what_is_unknown_stays_unknown_after_a_training() -> None:
    assert settle([exceeded("drift", None)], [], NOW, PARAMS, NOW)[0].verdict == "unknown"


def test_noisy_hours_do_not_retrain_but_a_lasting_change_does_once_a_day_at_most() -> None:
    """Ten days of hourly checks: chance for five days, then drift that stays, and each time it is due, a training."""
    rng = np.random.default_rng(0)
    start, last = NOW, NOW - 3 * DAY
    checks: list[Check] = []
    trainings = []
    for hour in range(240):
        now = start + hour * HOUR
        is_so = bool(rng.random() < 0.7) if hour < 120 else True
        trigger = settle([exceeded("drift", is_so)], checks, last, PARAMS, now)[0]
        checks.append(Check(now, {"drift": is_so}))
        if trigger.verdict == "due":
            trainings.append(hour)
            last, checks = now, []
    assert trainings[0] >= 120
    assert np.diff(trainings).min() >= 23
    assert len(trainings) == 5


def row(action: str, when: datetime, **fields: Any) -> Row:
    return Row(1, when.isoformat(), "somebody", action, **fields)


def test_times_of_rows_follow_their_order_whatever_clocks_say() -> None:
    ahead, back = NOW + 3000 * DAY, NOW - 10 * DAY
    times = [NOW - 2 * DAY, ahead, NOW - DAY, back, NOW - HOUR, ahead]
    settled = [NOW - 2 * DAY, NOW - DAY, NOW - DAY, NOW - DAY, NOW - HOUR, NOW]
    assert moments([row("check", time) for time in times], NOW) == settled
    assert moments([], NOW) == []


def test_a_clock_that_went_backwards_makes_nothing_due() -> None:
    """All rows seem to be in the future."""
    rows = [row(SHOULD_RETRAIN, NOW + number * HOUR) for number in range(48)]
    checks = [Check(moment, {"drift": True}) for moment in moments(rows, NOW)]
    assert verdict("drift", checks) == "not due"
    trained = moments([row("register", NOW + 8 * DAY)], NOW)[0]
    assert find_age("7d", trained, NOW).verdict == "not due"
    assert verdict("volume", [], last=trained) == "not due"


def test_a_row_of_a_clock_that_was_ahead_does_not_hang() -> None:
    """A training of 2099 happened before the first check after it."""
    rows = [row("register", NOW + 30_000 * DAY), row(SHOULD_RETRAIN, NOW - 8 * DAY), row(SHOULD_RETRAIN, NOW)]
    trained = moments(rows, NOW)[0]
    assert trained == NOW - 8 * DAY
    assert find_age("7d", trained, NOW).verdict == "due"


def test_the_last_training_is_a_registration_or_a_retraining() -> None:
    registered, refused = row("register", NOW, version="v1"), row(RETRAIN, NOW)
    assert last_training([]) is None
    assert last_training([row("deploy", NOW)]) is None
    assert last_training([registered, row("deploy", NOW)]) is registered
    assert last_training([registered, refused, row(SHOULD_RETRAIN, NOW)]) is refused


def test_a_verdict_is_told_as_json() -> None:
    trigger = replace(exceeded("drift"), value=float("nan"))
    assert trigger.describe() == {
        "name": "drift",
        "value": None,
        "threshold": 0.2,
        "exceeded": True,
        "evidence": "evidence",
        "verdict": "due",
    }
