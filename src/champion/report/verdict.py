"""The first lines of the report: whether a change may be merged, and if not, why."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from markupsafe import Markup

from champion.core import layout
from champion.core.markdown import as_code
from champion.core.values import finite
from champion.params import Compare
from champion.pipeline.evaluate.params import Gate
from champion.report import tables
from champion.report.comparison import Change, breaches, slides
from champion.report.pairs import Pairs
from champion.report.production import ENVIRONMENT, Production
from champion.report.wording import MARKS, NO, UNKNOWN, YES, interval, joined, metric_title, signed
from champion.repository.revision import OtherOutcome, Revision


@dataclass(frozen=True)
class Checks:
    """The results of other commands: why the gate is closed, which stages are stale, whether HEAD was reproduced."""

    gate: Sequence[str] = ()
    stale: Sequence[str] = ()
    reproduced: bool | None = None
    reproduction: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether the head may replace the base, and how they compare; `moved` has the changes of the metrics.

    `pairs` is None when there is nothing to pair.
    """

    head: Revision
    base: Revision
    moved: list[Change]
    gates: Mapping[str, Gate]
    compare: Compare
    checks: Checks
    pairs: Pairs | None
    production: Production

    @property
    def title(self) -> Markup:
        """One line: what is wrong, or that gates pass; then whether the model is better or worse than the base."""
        trouble = [
            text
            for found, text in (
                (self.checks.stale, Markup("outputs out of date")),
                (self._closed, Markup("gate closed")),
                (self.checks.reproduced is False, Markup("not reproducible")),
                (self._dropped or self._slid, Markup("a metric dropped beyond its tolerance")),
            )
            if found
        ]
        found = Markup(", ").join(trouble) or Markup("gates pass")
        return Markup("{} Model: {}; {}").format(NO if trouble else YES, found, self._against())

    def rows(self) -> Iterator[tuple[str, Markup, Markup]]:
        """Each question about the merge, with its mark and its answer."""
        checks, tolerances = self.checks, self.compare.tolerances
        if checks.stale:
            yield "Up to date", NO, Markup("run `dvc repro` for {}").format(joined(checks.stale))
        margins = [v["margin"] for v in self._verdicts.values() if v["margin"] is not None]
        if self._closed:
            yield "Gate", NO, joined(self._closed, "; ")
        else:
            passed = Markup("all {} pass; the smallest margin is {:.4f}").format(len(self.gates), min(margins))
            yield "Gate", YES, passed
        if checks.reproduced is None:
            yield "Reproducible", UNKNOWN, Markup("not checked for this commit")
        elif checks.reproduced:
            yield "Reproducible", YES, Markup("a clone gave every output again, bit for bit")
        else:
            yield "Reproducible", NO, joined(checks.reproduction.splitlines(), "; ")
        yield "Against the base", self._mark, self._against(detail=True)
        if self.pairs is not None:
            yield "As a challenge", *self._challenge(self.pairs)
        if not tolerances:
            yield "Tolerances", UNKNOWN, Markup("none in `{}: compare`").format(layout.PARAMS)
        elif not self.base.has_model:
            yield "Tolerances", UNKNOWN, Markup("the base has no metrics to compare with")
        elif self._dropped:
            yield "Tolerances", NO, joined(self._dropped, "; ")
        else:
            yield "Tolerances", YES, Markup("all {} tolerances hold").format(len(tolerances))
        if tolerances:
            yield "Against production", *self._against_production()
        yield "Data contract", *_contract(self.head)

    @property
    def data_changed(self) -> bool:
        """Whether before and after are scored on different rows."""
        test = str(layout.TEST)
        return bool(self.base.evaluation) and self.head.hashes.get(test) != self.base.hashes.get(test)

    @property
    def is_paired(self) -> bool:
        """Whether both models were compared on the same rows."""
        return self.pairs is not None and self.pairs.comparison is not None

    @cached_property
    def _verdicts(self) -> dict[str, dict[str, Any]]:
        return tables.verdicts(self.head, self.gates)

    @cached_property
    def _closed(self) -> list[str]:
        """Why the gate is closed. The gates are also judged here, so that no caller can omit them."""
        failed = [name for name, verdict in self._verdicts.items() if not verdict["passed"]]
        unsaid = [name for name in failed if not any(reason.startswith(f"{name}:") for reason in self.checks.gate)]
        reasons = [*self.checks.gate, *(f"{name}: outside its bounds, or not a number" for name in unsaid)]
        return reasons or ([] if self.gates else ["params.yaml: `gates` is empty, so nothing proves the model good"])

    @cached_property
    def _dropped(self) -> list[str]:
        return breaches(self.base, self.head, self.compare, allow_no_baseline=True) if self.compare.tolerances else []

    @cached_property
    def _slid(self) -> list[str]:
        return slides(self.production, self.head, self.compare)

    @cached_property
    def _judged(self) -> list[Change]:
        """The metrics with an interval, as only these show whether a change is more than noise."""
        return [change for change in self.moved if change.judged]

    def _against(self, *, detail: bool = False) -> Markup:
        """Whether the model is better or worse than the base, or why this is unknown."""
        name = as_code(self.base.name)
        if not self.base.evaluation:
            if self.base.has_model:
                return Markup("no baseline: {} has no metrics").format(name)
            if isinstance(self.base, OtherOutcome):
                outcomes = (as_code(str(side.outcome)) for side in (self.base, self.head))
                return Markup("first model of this outcome: {} predicts {}, and not {}").format(name, *outcomes)
            return Markup("first model: {} has no model").format(name)
        if all(
            change.verdict == "same" for change in self.moved if change.before is not None or change.after is not None
        ):
            return Markup("unchanged from {}").format(name)
        if not self._judged:
            return Markup("no metric has an interval, so a change from {} may be noise").format(name)
        beyond = [change for verdict in ("better", "worse") for change in self._judged if change.verdict == verdict]
        if not beyond:
            told = Markup("within noise of {}") if self.is_paired else Markup("not told apart from {} without pairs")
            return told.format(name) + (_deltas(": ", self._judged) if detail else "")
        words = list(dict.fromkeys(str(change.verdict) for change in beyond))
        by_metric = ", by metric," if len(words) > 1 else ""
        against = Markup("{}{} than {}").format(" and ".join(words), by_metric, name)
        return against + (_deltas(" beyond the 95% bootstrap interval: ", beyond) if detail else "")

    def _challenge(self, pairs: Pairs) -> tuple[Markup, Markup]:
        """What `champion challenge` would show of both models on these rows, or why they cannot be paired."""
        found = pairs.comparison
        if found is None:
            return UNKNOWN, Markup("cannot pair the models: {}").format(as_code(pairs.reason, 1000))
        both = {found.metric: found.gain, "brier": found.brier}
        told = Markup(", ").join(
            Markup("{} {}").format(metric_title(name), interval(one)) for name, one in both.items()
        )
        excluded = Markup(", without {:,} from which a model learned").format(found.excluded) if found.excluded else ""
        rows = Markup(" on the same {:,} test rows").format(found.rows) + excluded
        moved = [Change(name, one.champion, one.challenger, paired=one) for name, one in both.items()]
        return _sign(moved), told + rows

    def _against_production(self) -> tuple[Markup, Markup]:
        """Whether tolerances hold against what production serves, or why this is unknown."""
        found = self.production
        if found.unknown:
            return UNKNOWN, Markup("not compared with {}: {}").format(ENVIRONMENT, as_code(found.unknown, 1000))
        name = as_code(found.name)
        if self._slid:
            return NO, Markup("against {}: ").format(name) + joined(self._slid, "; ")
        held = Markup("no metric is beyond its tolerance against {}").format(name)
        lacking = [metric for metric in self.compare.tolerances if finite(found.evaluation.get(metric)) is None]
        if lacking:
            return UNKNOWN, held + Markup(", which has no number for {}").format(joined(lacking))
        return YES, held

    @property
    def _mark(self) -> Markup:
        return _sign(self._judged) if self.base.evaluation and self._judged else UNKNOWN


def _sign(moved: Iterable[Change]) -> Markup:
    found = {change.verdict for change in moved}
    return next(sign for verdict, sign in MARKS.items() if verdict in found)


def _deltas(opening: str, moved: list[Change]) -> Markup:
    both = {"better", "worse"} <= {change.verdict for change in moved}
    told = (
        Markup("{}{} {}").format(f"{change.verdict} " if both else "", metric_title(change.name), signed(change.delta))
        for change in moved
    )
    return Markup(opening) + Markup(", ").join(told)  # noqa: S704


def _contract(head: Revision) -> tuple[Markup, Markup]:
    report = head.json(layout.VALIDATION)
    findings = report.get("findings", [])
    if not findings:
        return NO, Markup("{} has no findings: run `dvc repro`").format(layout.VALIDATION)
    failed = [finding for finding in findings if finding.get("passed") is not True]
    if failed:
        names = [f"{finding.get('table')}.{finding.get('column')}: {finding.get('check')}" for finding in failed]
        return NO, Markup("{} of {} expectations broken: {}").format(len(failed), len(findings), joined(names))
    return YES, Markup("all {} expectations met").format(len(findings))
