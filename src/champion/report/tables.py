"""The report's tables: what changed, number by number."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from champion.core import layout
from champion.core.values import finite, flattened
from champion.pipeline.evaluate.model_card import SHOWN
from champion.report.blocks import Block, Bullets, Cell, Code, Paragraph, Table
from champion.report.comparison import Change, changes
from champion.report.wording import MISSING, NO, YES, count_of, metric_title, signed, value_of, with_interval
from champion.repository import git
from champion.repository.revision import Revision

MARKS = {"better": "▲", "worse": "▼", "noise": "≈ within noise", "same": "=", "moved": ""}
BEYOND_NOISE = {"better": "▲ better", "worse": "▼ worse"}


def metrics(moved: list[Change], base: Revision) -> Block:
    """Every metric before and after; the well-known ones first."""
    known = [change for name in SHOWN for change in moved if change.name == name]
    others = [change for change in moved if change.name not in SHOWN]
    rows = [
        [
            metric_title(change.name),
            with_interval(change.before, change.before_interval),
            with_interval(change.after, change.after_interval),
            signed(change.delta),
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


def gates(verdicts: Mapping[str, Mapping[str, Any]], before: Mapping[str, Mapping[str, Any]], base: Revision) -> Block:
    """Every gate's value, bounds, margin and verdict."""
    rows: list[Sequence[Cell]] = []
    for name, verdict in sorted(verdicts.items()):
        bounds = " and ".join(f"{end} {verdict[end]:g}" for end in ("min", "max") if verdict[end] is not None)
        was = "" if not base.evaluation or before[name]["passed"] == verdict["passed"] else ", was "
        was += ("pass" if before[name]["passed"] else "fail") if was else ""
        mark = f"{YES} pass" if verdict["passed"] else f"{NO} **fail**"
        rows.append([Code(name), value_of(verdict["value"]), bounds, signed(verdict["margin"]), mark + was])
    return Table(["gate", "value", "bounds", "margin", "verdict"], rows, right=[1, 3])


def params(head: Revision, base: Revision) -> Block:
    """The parameters that changed."""
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


def data(head: Revision, base: Revision) -> Iterator[Block]:
    """Rows and base rate before and after."""
    before, after = (side.rows for side in (base, head))
    rows: list[Sequence[Cell]] = []
    for name in sorted(before.keys() | after.keys()):
        sides = finite(before.get(name)), finite(after.get(name))
        delta = MISSING if None in sides else signed((sides[1] or 0.0) - (sides[0] or 0.0))
        rows.append([(Code(name), " rows"), *(count_of(side) for side in sides), delta])
    base_rate = Change("base_rate", finite(base.evaluation.get("base_rate")), finite(head.evaluation.get("base_rate")))
    shares = [MISSING if side is None else f"{side:.2%}" for side in (base_rate.before, base_rate.after)]
    delta = signed(base_rate.delta) if not base_rate.delta else f"{100 * base_rate.delta:+.2f} points"
    rows.append(["positive, held-out rows", *shares, delta])
    yield Table(["", "before", "after", "change"], rows, right=[1, 2, 3])


def confusion(head: Revision, base: Revision) -> Iterator[Block]:
    """Held-out rows by what they are and what they are called."""
    before, after = (_cells(side) for side in (base, head))
    if not after:
        return
    names = {(1, 1): "true positives", (0, 1): "false positives", (1, 0): "false negatives", (0, 0): "true negatives"}
    rows = [
        [
            title,
            count_of(before.get(cell)),
            count_of(after.get(cell)),
            MISSING if None in (before.get(cell), after.get(cell)) else signed(after[cell] - before[cell]),
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


def worst_segment(head: Revision, base: Revision) -> Iterator[Block]:
    """The segment that is ranked worst, before and after."""
    items: list[Cell] = []
    for title, side in (("before", base), ("after", head)):
        worst = side.worst_segment
        if isinstance(worst, Mapping):
            auc, interval = (
                finite(worst.get("roc_auc")),
                [finite(worst.get(f"roc_auc{end}")) for end in ("_low", "_high")],
            )
            ends = None if None in interval else (interval[0] or 0.0, interval[1] or 0.0)
            where = (Code(str(worst.get("segment"))), " = ", Code(str(worst.get("value"))))
            items.append(
                (f"{title}: ", *where, f", ROC AUC {with_interval(auc, ends)} on {count_of(worst.get('rows'))} rows")
            )
    if items:
        yield Paragraph("Worst segment, of those large enough to judge:")
        yield Bullets(items)


def cross_validation(head: Revision, base: Revision) -> Block:
    """The training metrics before and after."""
    before, after = (
        {name: value for name, value in side.training.items() if finite(value) is not None} for side in (base, head)
    )
    rows: list[Sequence[Cell]] = [
        [Code(change.name), value_of(change.before), value_of(change.after), signed(change.delta)]
        for change in changes(before, after)
    ]
    return Table(["training metric", "before", "after", "change"], rows, right=[1, 2, 3])


def lineage(head: Revision, base: Revision) -> Block:
    """The commits, and the hash of every file and folder that the lock names."""
    rows: list[Sequence[Cell]] = []
    commits = [side.commit or git.head_commit(side.root) for side in (base, head)]
    rows.append(["commit", *(MISSING if commit is None else Code(commit[:12]) for commit in commits), ""])
    for path in sorted(base.hashes.keys() | head.hashes.keys()):
        if not path.startswith("src/"):
            hashes = [side.hashes.get(path) for side in (base, head)]
            same = "" if hashes[0] == hashes[1] else "changed" if None not in hashes else "new" if hashes[1] else "gone"
            rows.append([Code(path), *(MISSING if h is None else Code(h[:12]) for h in hashes), same])
    return Table(["md5 in dvc.lock", "before", "after", ""], rows)
