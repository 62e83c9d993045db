"""The contents of the report's tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from champion.core import layout
from champion.core.values import finite, flattened
from champion.pipeline.evaluate.model_card import SHOWN
from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import gated_metrics, judge
from champion.report.comparison import Change, changes, interval_of
from champion.repository import git
from champion.repository.revision import Revision

Pair = tuple[str, str | None, str | None]

_CELLS = {(1, 1): "true positives", (0, 1): "false positives", (1, 0): "false negatives", (0, 0): "true negatives"}


def metrics(moved: list[Change]) -> list[Change]:
    """The metrics of the model card before and after."""
    return [change for name in SHOWN for change in moved if change.name == name]


def other_metrics(moved: list[Change]) -> list[Change]:
    """All other metrics before and after."""
    return [change for change in moved if change.name not in SHOWN]


def verdicts(side: Revision, gates: Mapping[str, Gate]) -> dict[str, dict[str, Any]]:
    """The verdict of each gate on a side's metrics."""
    return judge(gated_metrics(side.evaluation, side.training), gates)


def params(head: Revision, base: Revision) -> Iterator[Pair]:
    """The parameters that changed."""
    before, after = (dict(flattened(side.yaml(layout.PARAMS))) for side in (base, head))
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after or repr(before[name]) != repr(after[name]):
            # If both look the same, such as 12 and "12", show their types.
            show = repr if str(before.get(name)) == str(after.get(name)) else str
            yield name, show(before[name]) if name in before else None, show(after[name]) if name in after else None


def rows(head: Revision, base: Revision) -> list[Change]:
    """The rows of each table before and after."""
    before, after = (side.rows for side in (base, head))
    return [Change(name, finite(before.get(name)), finite(after.get(name))) for name in sorted({*before, *after})]


def base_rate(head: Revision, base: Revision) -> Change:
    """The share of positives among the test rows."""
    before, after = (finite(side.evaluation.get("base_rate")) for side in (base, head))
    return Change("base_rate", before, after)


def confusion(head: Revision, base: Revision) -> list[Change]:
    """Numbers of test rows by actual and predicted class; empty when the head has no confusion matrix."""
    before, after = (_cells(side) for side in (base, head))
    return [Change(title, before.get(cell), after.get(cell)) for cell, title in _CELLS.items()] if after else []


def _cells(side: Revision) -> dict[tuple[int, int], float]:
    try:
        return {
            (int(row["actual"]), int(row["predicted"])): float(row["rows"])
            for row in side.table(layout.PLOTS / "confusion.csv")
        }
    except (KeyError, ValueError):
        return {}


def worst_segments(head: Revision, base: Revision) -> Iterator[dict[str, Any]]:
    """The worst segment before and after, for the sides that have one."""
    for when, side in (("before", base), ("after", head)):
        worst = side.worst_segment
        if isinstance(worst, Mapping):
            yield {
                "when": when,
                "segment": str(worst.get("segment")),
                "value": str(worst.get("value")),
                "roc_auc": finite(worst.get("roc_auc")),
                "interval": interval_of(worst, "roc_auc"),
                "rows": worst.get("rows"),
            }


def training(head: Revision, base: Revision) -> list[Change]:
    """The training metrics before and after."""
    before, after = (
        {name: value for name, value in side.training.items() if finite(value) is not None} for side in (base, head)
    )
    return changes(before, after)


def lineage(head: Revision, base: Revision) -> Iterator[Pair]:
    """The commits, and the hash of every file and folder in the locks, shortened to 12 characters."""
    before, after = (
        {"commit": side.commit or git.head_commit(side.root)}
        | {path: hash_ for path, hash_ in sorted(side.hashes.items()) if not path.startswith("src/")}
        for side in (base, head)
    )
    for path in ["commit", *sorted({*before, *after} - {"commit"})]:
        old, new = before.get(path), after.get(path)
        yield path, old and old[:12], new and new[:12]
