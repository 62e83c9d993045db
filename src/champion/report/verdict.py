"""The first lines of the report: whether a change may be merged, and if not, why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from markupsafe import Markup

from champion.core import layout
from champion.core.markdown import as_code
from champion.params import Compare
from champion.pipeline.evaluate.params import Gate
from champion.report import tables
from champion.report.comparison import Change, breaches
from champion.report.wording import MARKS, NO, UNKNOWN, YES, joined, metric_title, signed
from champion.repository.revision import Revision


@dataclass(frozen=True)
class Checks:
    """The results of other commands: why the gate is closed, which stages are stale, whether HEAD was reproduced."""

    gate: Sequence[str] = ()
    stale: Sequence[str] = ()
    reproduced: bool | None = None
    reproduction: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether the head may replace the base, and how they compare; `moved` has the changes of the metrics."""

    head: Revision
    base: Revision
    moved: list[Change]
    gates: Mapping[str, Gate]
    compare: Compare
    checks: Checks

    @property
    def title(self) -> Markup:
        """One line: what is wrong, or that gates pass; then whether the model is better or worse than the base."""
        trouble = [
            text
            for found, text in (
                (self.checks.stale, Markup("outputs out of date")),
                (self._closed, Markup("gate closed")),
                (self.checks.reproduced is False, Markup("not reproducible")),
                (self._dropped, Markup("a metric dropped beyond its tolerance")),
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
        if not tolerances:
            yield "Tolerances", UNKNOWN, Markup("none in `{}: compare`").format(layout.PARAMS)
        elif not self.base.has_model:
            yield "Tolerances", UNKNOWN, Markup("the base has no metrics to compare with")
        elif self._dropped:
            yield "Tolerances", NO, joined(self._dropped, "; ")
        else:
            yield "Tolerances", YES, Markup("all {} tolerances hold").format(len(tolerances))
        yield "Data contract", *_contract(self.head)

    @property
    def data_changed(self) -> bool:
        """Whether before and after are scored on different rows."""
        test = str(layout.TEST)
        return bool(self.base.evaluation) and self.head.hashes.get(test) != self.base.hashes.get(test)

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
    def _judged(self) -> list[Change]:
        """The metrics with an interval, as only these show whether a change is more than noise."""
        return [change for change in self.moved if change.before_interval and change.after_interval]

    def _against(self, *, detail: bool = False) -> Markup:
        """Whether the model is better or worse than the base, or why this is unknown."""
        name = as_code(self.base.name)
        if not self.base.evaluation:
            if self.base.has_model:
                return Markup("no baseline: {} has no metrics").format(name)
            return Markup("first model: {} has no model").format(name)
        if all(
            change.verdict == "same" for change in self.moved if change.before is not None or change.after is not None
        ):
            return Markup("unchanged from {}").format(name)
        if not self._judged:
            return Markup("no metric has an interval, so a change from {} may be noise").format(name)
        beyond = [change for verdict in ("better", "worse") for change in self._judged if change.verdict == verdict]
        if not beyond:
            return Markup("within noise of {}").format(name) + (_deltas(": ", self._judged) if detail else "")
        words = list(dict.fromkeys(str(change.verdict) for change in beyond))
        by_metric = ", by metric," if len(words) > 1 else ""
        against = Markup("{}{} than {}").format(" and ".join(words), by_metric, name)
        return against + (_deltas(" beyond the 95% bootstrap interval: ", beyond) if detail else "")

    @property
    def _mark(self) -> Markup:
        found = {change.verdict for change in self._judged}
        if not self.base.evaluation or not found:
            return UNKNOWN
        return next(sign for verdict, sign in MARKS.items() if verdict in found)


def _deltas(opening: str, moved: list[Change]) -> Markup:
    told = (Markup("{} {}").format(metric_title(change.name), signed(change.delta)) for change in moved)
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
