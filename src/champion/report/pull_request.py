"""What a change does to the model, for the person who decides whether to merge it: the verdict first, then why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from champion.core import layout
from champion.core.errors import UserError
from champion.core.strict_yaml import Sections
from champion.core.values import finite, flattened
from champion.params import Compare
from champion.pipeline.evaluate.model_card import SHOWN
from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import judge
from champion.report import curves
from champion.report.blocks import Block, Bullets, Cell, Code, Document, Inline, Paragraph, Section, Table
from champion.report.comparison import Change, breaches, changes
from champion.repository import git
from champion.repository.revision import Revision

YES, NO, UNKNOWN = "✅", "❌", "➖"
MARKS = {"better": "▲", "worse": "▼", "noise": "≈ within noise", "same": "=", "moved": ""}
BEYOND_NOISE = {"better": "▲ better", "worse": "▼ worse"}
MISSING = "—"
LEGEND = (
    "▲ moved the better way, ▼ the worse way; “better” and “worse” only where each value lies outside the other's 95% "
    "bootstrap interval. A mark without a word has no interval, and may be noise."
)
REASONS, REASON_LENGTH = 10, 200


class ReportParams(Sections):
    """The sections of params.yaml that the report reads."""

    gates: dict[str, Gate]
    compare: Compare = Compare()


@dataclass(frozen=True)
class Checks:
    """What other commands found: why the gate is closed, which stages are out of date, whether HEAD was reproduced."""

    gate: Sequence[str] = ()
    stale: Sequence[str] = ()
    reproduced: bool | None = None
    reproduction: str = ""


def build(head: Revision, base: Revision, gates: Mapping[str, Gate], compare: Compare, checks: Checks) -> Document:
    """The report on `head` against `base`. Equal inputs give equal reports.

    Raises `UserError` when the head has no metrics: a report without them would say nothing about the model.
    """
    if not head.evaluation:
        raise UserError(f"{layout.EVALUATION}: no metrics to report. Run `dvc repro`, which makes them.")
    moved = changes(base.evaluation, head.evaluation)
    sections = [
        Section("", [_verdicts(head, base, moved, gates, compare, checks), *_cautions(head, base)]),
        Section("Metrics on held-out rows", [_metrics(moved, base), Paragraph(LEGEND)]),
        Section("Gates", [_gates(judge(head.evaluation, gates), judge(base.evaluation, gates), base)]),
        Section("Changed parameters", [_params(head, base)]),
        Section("Data", list(_data(head, base))),
        Section("Confusion and worst segment", [*_confusion(head, base), *_worst_segment(head, base)]),
        Section("ROC curve", list(curves.overlaid(head, base, "roc"))),
        Section("Calibration", list(curves.overlaid(head, base, "calibration"))),
        Section("Precision and recall", list(curves.overlaid(head, base, "precision_recall")), page_only=True),
        Section("Scores by class", list(curves.scores_by_class(head)), page_only=True),
        Section("Permutation importance", list(curves.importance(head, base)), page_only=True),
        Section("Lineage", [_lineage(head, base)], folded=True),
        Section("Cross-validation on training rows", [_cross_validation(head, base)], folded=True),
    ]
    return Document(_title(head, base, moved, gates, compare, checks), [s for s in sections if s.blocks])


def _title(
    head: Revision, base: Revision, moved: list[Change], gates: Mapping[str, Gate], compare: Compare, checks: Checks
) -> Cell:
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


def _verdicts(
    head: Revision,
    base: Revision,
    moved: list[Change],
    gates: Mapping[str, Gate],
    compare: Compare,
    checks: Checks,
) -> Block:
    closed, dropped = _closed(head, gates, checks), _dropped(head, base, compare)
    rows: list[Sequence[Cell]] = []
    if checks.stale:
        rows.append(["Up to date", NO, ("run ", Code("dvc repro"), " for ", *_joined(checks.stale))])
    margins = [v["margin"] for v in judge(head.evaluation, gates).values() if v["margin"] is not None]
    if closed:
        rows.append(["Gate", NO, _joined(closed, "; ")])
    else:
        rows.append(["Gate", YES, f"all {len(gates)} pass, the closest by {min(margins):.4f}"])
    if checks.reproduced is None:
        rows.append(["Reproducible", UNKNOWN, "not checked for this commit"])
    elif checks.reproduced:
        rows.append(["Reproducible", YES, "a clone gave every output again, bit for bit"])
    else:
        rows.append(["Reproducible", NO, _joined(checks.reproduction.splitlines(), "; ")])
    rows.append(["Against the base", _mark(base, moved), tuple(_against(base, moved, detail=True))])
    if not compare.tolerances:
        rows.append(["Tolerances", UNKNOWN, ("none in ", Code(f"{layout.PARAMS}: compare"))])
    elif not base.has_model:
        rows.append(["Tolerances", UNKNOWN, "no baseline to fall from"])
    elif dropped:
        rows.append(["Tolerances", NO, _joined(dropped, "; ")])
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
        yield _metric_title(change.name)
        yield f" {_signed(change.delta)}"


def _mark(base: Revision, moved: list[Change]) -> str:
    judged = {change.verdict for change in moved if change.before_interval and change.after_interval}
    if not base.evaluation or not judged:
        return UNKNOWN
    return "▼" if "worse" in judged else "▲" if "better" in judged else "≈" if "noise" in judged else "="


def _cautions(head: Revision, base: Revision) -> Iterator[Block]:
    """What makes before and after hard to compare."""
    if base.evaluation and _differs(head, base, layout.PREPARED):
        yield Paragraph(
            "**The prepared data changed**, so before and after are scored on different rows: the difference between "
            "them is the data's as much as the model's."
        )


def _metrics(moved: list[Change], base: Revision) -> Block:
    known = [change for name in SHOWN for change in moved if change.name == name]
    others = [change for change in moved if change.name not in SHOWN]
    rows = [
        [
            _metric_title(change.name),
            _with_interval(change.before, change.before_interval),
            _with_interval(change.after, change.after_interval),
            _signed(change.delta),
            _verdict(change, base),
        ]
        for change in known + others
    ]
    return Table(["metric", "before", "after", "change", ""], rows, right=[1, 2, 3])


def _verdict(change: Change, base: Revision) -> str:
    if change.verdict is not None:
        told = BEYOND_NOISE if change.before_interval and change.after_interval else MARKS
        return told.get(change.verdict, MARKS[change.verdict])
    if change.after is None:
        return "no number any more" if change.before is not None else "no number"
    return "new" if base.evaluation else ""


def _gates(verdicts: Mapping[str, Mapping[str, Any]], before: Mapping[str, Mapping[str, Any]], base: Revision) -> Block:
    rows: list[Sequence[Cell]] = []
    for name, verdict in sorted(verdicts.items()):
        bounds = " and ".join(f"{end} {verdict[end]:g}" for end in ("min", "max") if verdict[end] is not None)
        was = "" if not base.evaluation or before[name]["passed"] == verdict["passed"] else ", was "
        was += ("pass" if before[name]["passed"] else "fail") if was else ""
        mark = f"{YES} pass" if verdict["passed"] else f"{NO} **fail**"
        rows.append([Code(name), _value(verdict["value"]), bounds, _signed(verdict["margin"]), mark + was])
    return Table(["gate", "value", "bounds", "margin", "verdict"], rows, right=[1, 3])


def _params(head: Revision, base: Revision) -> Block:
    before, after = (dict(flattened(side.yaml(layout.PARAMS))) for side in (base, head))
    if not before:
        return Paragraph(("There is no params.yaml in ", Code(base.name), " to compare with."))
    rows: list[Sequence[Cell]] = [
        [Code(name), *_sides(name, before, after)]
        for name in sorted(before.keys() | after.keys())
        if name not in before or name not in after or repr(before[name]) != repr(after[name])
    ]
    return Table(["parameter", "before", "after"], rows) if rows else Paragraph("None.")


def _sides(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Cell]:
    """A parameter's values; of two that look alike, such as 12 and "12", the type is shown."""
    show = repr if str(before.get(name)) == str(after.get(name)) else str
    for side in (before, after):
        yield Code(show(side[name])) if name in side else MISSING


def _contract(head: Revision) -> tuple[Cell, Cell]:
    report = head.json(layout.VALIDATION)
    findings = report.get("findings", [])
    if not findings:
        return NO, f"{layout.VALIDATION} holds no findings: run `dvc repro`"
    failed = [finding for finding in findings if finding.get("passed") is not True]
    if failed or report.get("passed") is not True:
        names = [f"{finding.get('table')}.{finding.get('column')}: {finding.get('check')}" for finding in failed]
        return NO, (f"{len(failed)} of {len(findings)} expectations broken: ", *_joined(names))
    return YES, f"all {len(findings)} expectations met"


def _data(head: Revision, base: Revision) -> Iterator[Block]:
    before, after = (side.json(layout.VALIDATION).get("rows", {}) for side in (base, head))
    rows: list[Sequence[Cell]] = []
    for name in sorted(before.keys() | after.keys()):
        sides = finite(before.get(name)), finite(after.get(name))
        delta = MISSING if None in sides else _signed((sides[1] or 0.0) - (sides[0] or 0.0))
        rows.append([(Code(name), " rows"), *(_count(side) for side in sides), delta])
    base_rate = Change("base_rate", finite(base.evaluation.get("base_rate")), finite(head.evaluation.get("base_rate")))
    shares = [MISSING if side is None else f"{side:.2%}" for side in (base_rate.before, base_rate.after)]
    delta = _signed(base_rate.delta) if not base_rate.delta else f"{100 * base_rate.delta:+.2f} points"
    rows.append(["positive, held-out rows", *shares, delta])
    yield Table(["", "before", "after", "change"], rows, right=[1, 2, 3])


def _confusion(head: Revision, base: Revision) -> Iterator[Block]:
    before, after = (_cells(side) for side in (base, head))
    if not after:
        return
    names = {(1, 1): "true positives", (0, 1): "false positives", (1, 0): "false negatives", (0, 0): "true negatives"}
    rows = [
        [
            title,
            _count(before.get(cell)),
            _count(after.get(cell)),
            MISSING if None in (before.get(cell), after.get(cell)) else _signed(after[cell] - before[cell]),
        ]
        for cell, title in names.items()
    ]
    yield Table(["held-out rows", "before", "after", "change"], rows, right=[1, 2, 3])


def _cells(side: Revision) -> dict[tuple[int, int], float]:
    table = side.plot("confusion")
    try:
        return {
            (int(actual), int(predicted)): float(rows)
            for actual, predicted, rows in zip(table["actual"], table["predicted"], table["rows"], strict=True)
        }
    except (KeyError, ValueError):
        return {}


def _worst_segment(head: Revision, base: Revision) -> Iterator[Block]:
    items: list[Cell] = []
    for title, side in (("before", base), ("after", head)):
        worst = side.json(layout.SEGMENTS).get("worst")
        if isinstance(worst, Mapping):
            auc, interval = (
                finite(worst.get("roc_auc")),
                [finite(worst.get(f"roc_auc{end}")) for end in ("_low", "_high")],
            )
            ends = None if None in interval else (interval[0] or 0.0, interval[1] or 0.0)
            where = (Code(str(worst.get("segment"))), " = ", Code(str(worst.get("value"))))
            items.append(
                (f"{title}: ", *where, f", ROC AUC {_with_interval(auc, ends)} on {_count(worst.get('rows'))} rows")
            )
    if items:
        yield Paragraph("Worst segment, of those large enough to judge:")
        yield Bullets(items)


def _cross_validation(head: Revision, base: Revision) -> Block:
    before, after = (
        {key: value for key, value in flattened(side.json(layout.TRAINING)) if finite(value) is not None}
        for side in (base, head)
    )
    rows: list[Sequence[Cell]] = [
        [Code(change.name), _value(change.before), _value(change.after), _signed(change.delta)]
        for change in changes(before, after)
    ]
    return Table(["training metric", "before", "after", "change"], rows, right=[1, 2, 3])


def _lineage(head: Revision, base: Revision) -> Block:
    rows: list[Sequence[Cell]] = []
    commits = [side.commit or git.head_commit(side.root) for side in (base, head)]
    rows.append(["commit", *(MISSING if commit is None else Code(commit[:12]) for commit in commits), ""])
    for path in sorted(base.hashes.keys() | head.hashes.keys()):
        if not path.startswith("src/"):
            hashes = [side.hashes.get(path) for side in (base, head)]
            same = "" if hashes[0] == hashes[1] else "changed" if None not in hashes else "new" if hashes[1] else "gone"
            rows.append([Code(path), *(MISSING if h is None else Code(h[:12]) for h in hashes), same])
    return Table(["md5 in dvc.lock", "before", "after", ""], rows)


def _differs(head: Revision, base: Revision, path: Path) -> bool:
    return head.hashes.get(str(path)) != base.hashes.get(str(path))


def _metric_title(name: str) -> Inline:
    return SHOWN.get(name) or Code(name)


def _joined(texts: Sequence[str], separator: str = ", ") -> tuple[Inline, ...]:
    pieces: list[Inline] = []
    for text in texts[:REASONS]:
        pieces += [separator, Code(text, REASON_LENGTH)] if pieces else [Code(text, REASON_LENGTH)]
    return (*pieces, f"{separator}and {len(texts) - REASONS} more") if len(texts) > REASONS else tuple(pieces)


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    return _value(value) if interval is None else f"{_value(value)} ({interval[0]:.4f} to {interval[1]:.4f})"


def _value(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:,.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.4f}"


def _signed(value: float | None) -> str:
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    if value.is_integer():
        return f"{value:+,.0f}"
    return f"{value:+.4f}" if abs(value) >= 0.00005 else "≈ 0"


def _count(value: Any) -> str:
    found = finite(value)
    return MISSING if found is None else f"{found:,.0f}"
