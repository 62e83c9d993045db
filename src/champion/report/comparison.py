"""How a change affects the metrics of the test: their direction, their noise, and whether one fell too far."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from champion.core.errors import UserError
from champion.core.layout import EVALUATION
from champion.core.strict_yaml import Sections
from champion.core.values import DECIMALS, finite
from champion.judging.comparison import Paired
from champion.params import Compare
from champion.report.production import Production
from champion.repository.revision import Revision

HIGHER_IS_BETTER = frozenset(
    {
        "accuracy",
        "average_precision",
        "average_precision_lift",
        "brier_skill",
        "brier_skill_hindsight",
        "f1_weighted",
        "gini",
        "ks",
        "lift_10",
        "lift_20",
        "lift_5",
        "precision",
        "precision_lift",
        "recall",
        "roc_auc",
    }
)
LOWER_IS_BETTER = frozenset({"accepted_rate", "brier", "log_loss"})
ENDS = ("_low", "_high")
# A Brier skill compares with the rate known before, which another window changes for the same test rows.
SKILL, REFERENCE = "brier_skill", "known_rate"

Verdict = Literal["better", "worse", "noise", "unpaired", "same", "moved"]


class CompareParams(Sections):
    """The sections of params.yaml that `champion compare` reads."""

    compare: Compare = Compare()


@dataclass(frozen=True)
class Change:
    """One metric before and after; a side without a finite number is None.

    If both were `paired`, the interval of the difference decides: it is noise if the interval holds zero. With only
    an interval of each side's own, nobody can tell, unless each value lies outside the other's interval. Without
    intervals, a change is just better or worse. Without a known direction, or without the `same_reference` on both
    sides, it just moved.
    """

    name: str
    before: float | None
    after: float | None
    before_interval: tuple[float, float] | None = None
    after_interval: tuple[float, float] | None = None
    paired: Paired | None = None
    same_reference: bool = True

    @property
    def judged(self) -> bool:
        """Whether there are intervals, so that the verdict is about more than noise."""
        intervals = self.paired is not None or None not in (self.before_interval, self.after_interval)
        return self.delta is not None and intervals and self.same_reference

    @property
    def delta(self) -> float | None:
        """After minus before, or None when a side is missing."""
        if self.before is None or self.after is None:
            return None
        if self.paired is not None:
            return self.paired.difference + 0.0
        return round(self.after - self.before, DECIMALS) + 0.0

    @property
    def gain(self) -> float | None:
        """The change, positive if better; None without a direction or a side."""
        sign = direction(self.name) if self.same_reference else None
        return None if sign is None or self.delta is None else sign * self.delta + 0.0

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the change; None when a side is missing."""
        if self.delta is None:
            return None
        if not self.same_reference:
            return "moved"
        if self.paired is not None and (self.paired.low or self.paired.high):
            if self.paired.low <= 0 <= self.paired.high:
                return "noise"
            return "better" if (self.paired.low > 0) == (direction(self.name) == 1) else "worse"
        if self.delta == 0:
            return "same"
        if self.gain is None:
            return "moved"
        if self._overlaps:
            return "unpaired"
        return "better" if self.gain > 0 else "worse"

    @property
    def _overlaps(self) -> bool:
        """Whether either value lies inside the other's interval; False without intervals."""
        if self.before is None or self.after is None or self.before_interval is None or self.after_interval is None:
            return False
        low, high = self.before_interval
        return low <= self.after <= high or self.after_interval[0] <= self.before <= self.after_interval[1]


def direction(name: str) -> int | None:
    """1 if higher is better, -1 if lower is better, None if this is not known."""
    base = name.removesuffix("_low").removesuffix("_high")
    return 1 if base in HIGHER_IS_BETTER else -1 if base in LOWER_IS_BETTER else None


def changes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    paired: Mapping[str, Paired] | None = None,
    *,
    same_rows: bool = False,
) -> list[Change]:
    """Every metric of either side, sorted by name. The ends of an interval are part of their metric's change."""
    names = sorted(set(before) | set(after))
    return [
        Change(
            name,
            finite(before.get(name)),
            finite(after.get(name)),
            interval_of(before, name),
            interval_of(after, name),
            (paired or {}).get(name),
            not (same_rows and _has_other_reference(name, before, after)),
        )
        for name in names
        if not (name.endswith(ENDS) and name.rpartition("_")[0] in names)
    ]


def breaches(base: Revision, head: Revision, compare: Compare, *, allow_no_baseline: bool = False) -> list[str]:
    """Why the change may not be merged, one sentence per metric; empty when every tolerance holds.

    It is a breach if the metric of a tolerance is missing or not a number on either side, or if the base has no metrics
    (unless `allow_no_baseline` is set and the base never had outputs of the pipeline). Raises `UserError` when there is
    no usable tolerance.
    """
    if not compare.tolerances:
        raise UserError("params.yaml: `compare.tolerances` is empty, so any drop would pass. Add a tolerance.")
    for name in compare.tolerances:
        if direction(name) is None:
            known = ", ".join(sorted(HIGHER_IS_BETTER | LOWER_IS_BETTER))
            raise UserError(
                f"params.yaml: `compare.tolerances.{name}`: the better direction is unknown. Use one of {known}."
            )
    if allow_no_baseline and not base.has_model:
        return [
            f"{name}: {EVALUATION} of {head.name} has no number for it"
            for name in compare.tolerances
            if finite(head.evaluation.get(name)) is None
        ]
    return [
        reason
        for name, tolerance in compare.tolerances.items()
        if (reason := _breach(name, tolerance, base, head, same_rows=head.has_test_of(base))) is not None
    ]


def _breach(
    name: str, tolerance: float, base: "Revision | Production", head: Revision, *, same_rows: bool
) -> str | None:
    before, after = finite(base.evaluation.get(name)), finite(head.evaluation.get(name))
    if same_rows and _has_other_reference(name, base.evaluation, head.evaluation):
        after = _skill_of_base(base.evaluation, head.evaluation)
    change = Change(name, before, after)
    for value, side in ((change.before, base), (change.after, head)):
        if value is None:
            return f"{name}: {EVALUATION} of {side.name} has no number for it"
    gain = change.gain
    if gain is not None and gain >= -tolerance:
        return None
    moved = "fell" if direction(name) == 1 else "rose"
    return f"{name}: {moved} from {change.before:g} to {change.after:g}, beyond its tolerance of {tolerance:g}"


def _has_other_reference(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    known = finite(before.get(REFERENCE)), finite(after.get(REFERENCE))
    return name == SKILL and None not in known and known[0] != known[1]


def _skill_of_base(before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    """The Brier skill of the head against the reference of the base, on the same rows; None if it is not known."""
    skill, error, brier = finite(before.get(SKILL)), finite(before.get("brier")), finite(after.get("brier"))
    return None if skill is None or not error or brier is None else round(1 - brier * (1 - skill) / error, DECIMALS)


def slides(production: Production, head: Revision, compare: Compare) -> list[str]:
    """The same against what production serves, from which many small losses add up; empty if that is unknown.

    A metric that production's version lacks says nothing.
    """
    return [
        reason
        for name, tolerance in compare.tolerances.items()
        if finite(production.evaluation.get(name)) is not None
        and (reason := _breach(name, tolerance, production, head, same_rows=True)) is not None
    ]


def interval_of(metrics: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """The ends of a metric's interval; None unless both are finite numbers."""
    low, high = (finite(metrics.get(f"{name}{end}")) for end in ENDS)
    return None if low is None or high is None else (low, high)
