"""The report's first lines: whether a change may be merged, and if not, why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from champion.core import layout
from champion.params import Compare
from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import judge
from champion.report.blocks import Block, Cell, Code, Inline, Paragraph, Table
from champion.report.comparison import Change, breaches
from champion.report.wording import NO, UNKNOWN, YES, joined, metric_title, signed
from champion.repository.revision import Revision


@dataclass(frozen=True)
class Checks:
    """What other commands found: why the gate is closed, which stages are out of date, whether HEAD was reproduced."""

    gate: Sequence[str] = ()
    stale: Sequence[str] = ()
    reproduced: bool | None = None
    reproduction: str = ""


def title(
    head: Revision, base: Revision, moved: list[Change], gates: Mapping[str, Gate], compare: Compare, checks: Checks
) -> Cell:
    """One line: what is wrong, else that gates pass; and better or worse than the base."""
    trouble = [
        text
        for found, text in (
            (checks.stale, "outputs out of date"),
            (_closed(head, gates, checks), "gate closed"),
            (checks.reproduced is False, "not reproducible"),
            (_dropped(head, base, compare), "a metric dropped beyond its tolerance"),
        )
        if found
    ]
    verdict = ", ".join(trouble) if trouble else "gates pass"
    return (f"{NO if trouble else YES} Model: {verdict}; ", *_against(base, moved))


def verdicts_table(
    head: Revision,
    base: Revision,
    moved: list[Change],
    gates: Mapping[str, Gate],
    compare: Compare,
    checks: Checks,
) -> Block:
    """A row for each question that decides whether to merge."""
    closed, dropped = _closed(head, gates, checks), _dropped(head, base, compare)
    rows: list[Sequence[Cell]] = []
    if checks.stale:
        rows.append(["Up to date", NO, ("run ", Code("dvc repro"), " for ", *joined(checks.stale))])
    margins = [v["margin"] for v in judge(head.evaluation, gates).values() if v["margin"] is not None]
    if closed:
        rows.append(["Gate", NO, joined(closed, "; ")])
    else:
        rows.append(["Gate", YES, f"all {len(gates)} pass, the closest by {min(margins):.4f}"])
    if checks.reproduced is None:
        rows.append(["Reproducible", UNKNOWN, "not checked for this commit"])
    elif checks.reproduced:
        rows.append(["Reproducible", YES, "a clone gave every output again, bit for bit"])
    else:
        rows.append(["Reproducible", NO, joined(checks.reproduction.splitlines(), "; ")])
    rows.append(["Against the base", _mark(base, moved), tuple(_against(base, moved, detail=True))])
    if not compare.tolerances:
        rows.append(["Tolerances", UNKNOWN, ("none in ", Code(f"{layout.PARAMS}: compare"))])
    elif not base.has_model:
        rows.append(["Tolerances", UNKNOWN, "no baseline to fall from"])
    elif dropped:
        rows.append(["Tolerances", NO, joined(dropped, "; ")])
    else:
        rows.append(["Tolerances", YES, f"none of {len(compare.tolerances)} exceeded"])
    rows.append(["Data contract", *_contract(head)])
    return Table(["", "", ""], rows)


def _closed(head: Revision, gates: Mapping[str, Gate], checks: Checks) -> list[str]:
    """Why the gate is closed, judged here too so that no caller can forget it."""
    failed = [name for name, verdict in judge(head.evaluation, gates).items() if not verdict["passed"]]
    unsaid = [name for name in failed if not any(reason.startswith(f"{name}:") for reason in checks.gate)]
    reasons = [*checks.gate, *(f"{name}: outside its bounds, or no number" for name in unsaid)]
    return reasons or ([] if gates else ["params.yaml: `gates` is empty, so nothing vouches for the model"])


def _dropped(head: Revision, base: Revision, compare: Compare) -> list[str]:
    return breaches(base, head, compare, allow_no_baseline=True) if compare.tolerances else []


def _against(base: Revision, moved: list[Change], *, detail: bool = False) -> Iterator[Inline]:
    """Better or worse, from the metrics that have an interval: only they can tell a change from noise."""
    name = Code(base.name)
    if not base.evaluation:
        yield from (
            ("no baseline: ", name, " has no metrics") if base.has_model else ("first model: ", name, " has none")
        )
        return
    judged = [change for change in moved if change.before_interval and change.after_interval]
    beyond = {verdict: [c for c in judged if c.verdict == verdict] for verdict in ("better", "worse")}
    if all(change.verdict == "same" for change in moved if change.before is not None or change.after is not None):
        yield from ("unchanged from ", name)
    elif not judged:
        yield from ("no interval to tell a change from noise, against ", name)
    elif beyond["better"] or beyond["worse"]:
        words = " and ".join(verdict for verdict in ("better", "worse") if beyond[verdict])
        yield from (f"{words} than " if len(words) < 7 else f"{words}, by metric, than ", name)
        if detail:
            yield " beyond the 95% bootstrap interval: "
            yield from _deltas(beyond["better"] + beyond["worse"])
    else:
        yield from ("within noise of ", name)
        if detail:
            yield ": "
            yield from _deltas(judged)


def _deltas(moved: list[Change]) -> Iterator[Inline]:
    for position, change in enumerate(moved):
        yield ", " if position else ""
        yield metric_title(change.name)
        yield f" {signed(change.delta)}"


def _mark(base: Revision, moved: list[Change]) -> str:
    judged = {change.verdict for change in moved if change.before_interval and change.after_interval}
    if not base.evaluation or not judged:
        return UNKNOWN
    return "▼" if "worse" in judged else "▲" if "better" in judged else "≈" if "noise" in judged else "="


def cautions(head: Revision, base: Revision) -> Iterator[Block]:
    """What makes before and after hard to compare."""
    if base.evaluation and _differs(head, base, layout.PREPARED):
        yield Paragraph(
            "**The prepared data changed**, so before and after are scored on different rows: the difference between "
            "them is the data's as much as the model's."
        )


def _contract(head: Revision) -> tuple[Cell, Cell]:
    report = head.json(layout.VALIDATION)
    findings = report.get("findings", [])
    if not findings:
        return NO, f"{layout.VALIDATION} holds no findings: run `dvc repro`"
    failed = [finding for finding in findings if finding.get("passed") is not True]
    if failed:
        names = [f"{finding.get('table')}.{finding.get('column')}: {finding.get('check')}" for finding in failed]
        return NO, (f"{len(failed)} of {len(findings)} expectations broken: ", *joined(names))
    return YES, f"all {len(findings)} expectations met"


def _differs(head: Revision, base: Revision, path: Path) -> bool:
    return head.hashes.get(str(path)) != base.hashes.get(str(path))
