"""The limits with which an undeclared table begins: those of its contract, its decision, its segments and its gates."""

import math

import polars as pl

from champion.core.layout import AT_AS_OF, AT_SPLIT, LABELLED, NEWEST, TEST
from champion.onboarding.columns import FoundColumn
from champion.onboarding.split import FoundSplit
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.prepare.splits import Parts
from champion.table.columns import TARGET
from champion.table.dataset import Dataset

MOST_SEGMENTS, MOST_SEGMENT_VALUES = 3, 6
# Of fewer test rows, or of more positives, the lift of a tenth says little.
LEAST_FOR_LIFT, MOST_FOR_LIFT = 1000, 0.3


def class_share(parts: Parts) -> list[float]:
    """From half the lowest share of positives to twice the highest, but not nearer to 1 than half way."""
    low, high = min(_shares(parts)), max(_shares(parts))
    return [_floored(low / 2), _ceiled(min(2 * high, (1 + high) / 2))]


def early_events(raw: pl.DataFrame, params: PrepareParams) -> float | None:
    """A bit more than the share of events before the row's own date; None without events."""
    if params.label.kind != "event":
        return None
    early = int((raw[params.table.label] < raw[params.table.only("date") or ""]).sum())
    return _ceiled(early / raw.height * 1.2)


def missing_shares(raw: pl.DataFrame, parts: Parts, params: PrepareParams) -> dict[str, float]:
    """By column with a missing value: the largest share in a part, and a bit more.

    The date of an event may always be missing.
    """
    checked = [raw, *(rows for path, rows in parts.items() if path.name in (LABELLED, NEWEST) or path == TEST)]
    limits = {}
    for name in raw.columns:
        share = max(rows[name].null_count() / rows.height for rows in checked if name in rows.columns and rows.height)
        if params.label.kind == "event" and name == params.table.label:
            limits[name] = 1.0
        elif share:
            limits[name] = min(1.0, _ceiled(share * 1.2 + 0.005))
    return limits


def find_decision(data: Dataset, parts: Parts) -> dict[str, float]:
    """Flag as large a share as that of the positives, but by the probability where no row is newest to take it of."""
    newest = [parts[folder / NEWEST].height for folder in (AT_SPLIT, AT_AS_OF)]
    if data.schema.calendar is not None and not all(newest):
        return {"probability": _share_to_flag(data)}
    return {"share": _share_to_flag(data)}


def find_segments(columns: list[FoundColumn]) -> list[str]:
    """The first three features with few values."""
    few = [
        column.name
        for column in columns
        if column.role == "feature"
        and column.type in ("category", "boolean")
        and 2 <= column.distinct <= MOST_SEGMENT_VALUES
    ]
    return few[:MOST_SEGMENTS]


def find_gates(data: Dataset, split: FoundSplit, parts: Parts) -> dict[str, dict[str, float]]:
    """The gates by metric, without those of which the table's rows would say little."""
    share = _share_to_flag(data)
    flagged = {"min": round(share / 4, 4), "max": min(0.95, 2 * share)}
    gates: dict[str, dict[str, float]] = {"training_roc_auc": {"min": 0.55}} if split.rehearsals else {}
    gates |= {"roc_auc_low": {"above": 0.5}, "brier_skill": {"above": 0}}
    if split.test_rows >= LEAST_FOR_LIFT and max(_shares(parts)) <= MOST_FOR_LIFT:
        gates["lift_10"] = {"min": 1.5}
    gates["precision_lift"] = {"above": 1}
    if "share" in find_decision(data, parts):
        gates["flagged_share"] = flagged
        if data.schema.calendar is not None:
            gates |= {"delivered_flagged_share": flagged, "agreement_spearman": {"min": 0.5}}
    return gates


def _shares(parts: Parts) -> list[float]:
    labelled = [rows[TARGET] for rows in parts.values() if TARGET in rows.columns and rows.height]
    return [float(target.mean() or 0.0) for target in labelled]  # type: ignore[arg-type]


def _share_to_flag(data: Dataset) -> float:
    return float(min(0.5, max(0.01, round(float(data.target.mean()), 2))))


def _floored(share: float) -> float:
    return math.floor(share * 1000) / 1000


def _ceiled(share: float) -> float:
    return math.ceil(share * 1000) / 1000
