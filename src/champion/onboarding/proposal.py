"""All of params.yaml for an undeclared table, from what is found in it."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from champion.core.errors import UserError
from champion.core.layout import AT_AS_OF, AT_SPLIT, LABELLED, NEWEST, TEST
from champion.core.strict_yaml import explain
from champion.onboarding.column_types import TypedTable, find_types, number_in_another_form
from champion.onboarding.columns import LEAST_GROUPS, SUSPICIOUS, FoundColumn, find_columns
from champion.onboarding.given import Given
from champion.onboarding.label import FoundLabel, find_label
from champion.onboarding.params_text import write_params
from champion.onboarding.reading import RawTable
from champion.onboarding.recipe import FoundRecipe, find_recipe
from champion.onboarding.split import FoundSplit, split_by_date, split_by_share
from champion.params import Challenge, Monitoring
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.prepare.splits import Parts
from champion.pipeline.prepare.stage import prepare
from champion.table.columns import TARGET
from champion.table.dataset import Dataset, Schema
from champion.table.features import features_of

# Below, an interval says little.
FEW_OF_A_CLASS = 50
MOST_SEGMENTS, MOST_SEGMENT_VALUES = 3, 6
# Of fewer test rows, or of more positives, the lift of a tenth says little.
LEAST_FOR_LIFT, MOST_FOR_LIFT = 1000, 0.3


@dataclass(frozen=True)
class Proposal:
    """The text of params.yaml, what it was made of, and what a person should look at."""

    params: str
    source: dict[str, Any]
    columns: list[FoundColumn]
    label: FoundLabel
    split: FoundSplit
    recipe: FoundRecipe
    notes: list[str]


def propose(table: RawTable, given: Given) -> Proposal:
    """What params.yaml should say of the table. Raises `UserError` when the table or what is given cannot be used."""
    given.check_names(table.name, table.rows.columns)
    typed = find_types(table.rows, given.target, given.form, semicolons=table.source.get("separator", ",") != ",")
    if given.target in typed.odd:
        raise UserError(f"{table.name}: the target {given.target!r} holds values of a kind that is not read.")
    notes = list(typed.notes)
    columns, label, split = _find(table, typed, given, notes)
    source = table.source | typed.form.model_dump(exclude_defaults=True)
    sections: dict[str, Any] = {
        "columns": {column.name: column.declare() for column in columns},
        "label": label.section,
        "prepare": {},
        **split.sections,
    }
    try:
        params = PrepareParams.model_validate(sections)
    except ValidationError as error:
        raise UserError(explain(Path(table.name), PrepareParams, sections, error)) from None
    raw = typed.rows.select(column.name for column in columns if column.role != "ignore")
    try:
        parts = prepare(raw, params)
    except UserError:
        raise UserError(
            f"{table.name}: no split of its {raw.height:,} rows has both outcomes on both sides. Give more rows, or "
            "correct --id, --group or --date."
        ) from None
    schema = Schema(
        features_of(params.table), params.calendar, params.table.only("date"), params.table.only("group"), []
    )
    learned = Dataset(parts[AT_SPLIT / LABELLED], schema)
    recipe = find_recipe(learned)
    notes += _suspicions(columns, typed, label.target)
    text = write_params(
        table=table.name,
        dated=params.calendar is not None,
        **split.sections,
        ingest=source,
        columns=columns,
        suspicious=SUSPICIOUS,
        label=label.section,
        why_positive=label.why,
        rows=[max(1, raw.height // 2), raw.height * 10],
        class_share=_class_share(parts),
        early_events=_early_events(raw, params),
        missing=_missing(raw, parts, params),
        scores=recipe.scores,
        judged_in=recipe.judged_in,
        train=recipe.train,
        decision=_decision(learned, parts),
        segments=_segments(columns),
        segment_min_rows=max(20, split.test_rows // 20),
        gates=_gates(learned, split, parts),
        challenge=Challenge().model_dump(exclude_none=True),
        monitoring=Monitoring().model_dump(),
    )
    return Proposal(text, source, columns, label, split, recipe, notes)


def _find(
    table: RawTable, typed: TypedTable, given: Given, notes: list[str]
) -> tuple[list[FoundColumn], FoundLabel, FoundSplit]:
    """The columns, label and split. Dates whose history is too short are not used, unless they are given."""
    when = _dates(typed, given)
    label = find_label(table.name, typed.rows[given.target], typed.types[given.target], when, given)
    columns = find_columns(typed, table.rows.columns, given, label.target)
    day = next((column.name for column in columns if column.role == "date"), None)
    if day is None and given.horizon is not None:
        raise UserError(f"{table.name}: --horizon is a time after the row's date. Give the date with --date.")
    if day is None:
        return columns, label, split_by_share(table.rows.height)
    events = typed.rows[given.target] if label.section["kind"] == "event" else None
    found = split_by_date(typed.rows[day], label.target, given.horizon or 0, events)
    if found is not None:
        return columns, label, found
    if given.date is not None or label.section["kind"] == "event":
        raise UserError(
            f"{table.name}: the history is too short: no split by date has 50 rows with 10 of each outcome on both "
            "sides. Give more rows, or a table whose rows can be split without dates: leave out --date."
        )
    notes.append(f"the history by {day!r} is too short for a test at its end, so the test is a share of the rows")
    dates = [name for name, kind in typed.types.items() if kind == "date" and name != given.target]
    undated = replace(given, ignore=(*given.ignore, *dates))
    return find_columns(typed, table.rows.columns, undated, label.target), label, split_by_share(table.rows.height)


def _dates(typed: TypedTable, given: Given) -> pl.Series | None:
    if given.date is None or typed.types.get(given.date) != "date":
        return None
    return typed.rows[given.date]


def _suspicions(columns: list[FoundColumn], typed: TypedTable, target: pl.Series) -> list[str]:
    """What a person should look at before the model is believed."""
    fewest = min(int((target == outcome).sum()) for outcome in (0, 1))
    few = [f"only {fewest} rows have the rarer outcome, so no result will say much"] if fewest < FEW_OF_A_CLASS else []
    gaps = [
        f"{count:,} rows have no date in {column.name!r} and are left out; a line of totals is such a row"
        for column in columns
        if column.role == "date" and (count := typed.rows[column.name].null_count())
    ]
    units = [
        f"{column.name!r} looks like numbers in another form, such as {example!r}, and is read as text. Convert it in "
        "the file, or by an adapter"
        for column in columns
        if column.type == "category" and column.role in ("feature", "ignore") and column.name in typed.rows.columns
        if (example := number_in_another_form(typed.rows[column.name])) is not None
    ]
    groups = [
        f"the values of {column.name!r} repeat. If rows with the same one stand together, say --group {column.name!r}"
        for column in columns
        if column.role == "feature" and column.type == "integer" and column.name.lower().endswith("id")
        if column.distinct >= LEAST_GROUPS
    ]
    return few + gaps + units + groups + _strong(columns)


def _strong(columns: list[FoundColumn]) -> list[str]:
    return [
        f"{column.name!r} alone has a ROC AUC of {column.alone:.3f}. If it is known only after the outcome, "
        f"leave it out: --ignore {column.name!r}"
        for column in columns
        if column.role == "feature" and column.alone is not None and column.alone >= SUSPICIOUS
    ]


def _shares(parts: Parts) -> list[float]:
    labelled = [rows[TARGET] for rows in parts.values() if TARGET in rows.columns and rows.height]
    return [float(target.mean() or 0.0) for target in labelled]  # type: ignore[arg-type]


def _class_share(parts: Parts) -> list[float]:
    """From half the lowest share of positives to twice the highest, but not nearer to 1 than half way."""
    low, high = min(_shares(parts)), max(_shares(parts))
    return [_floored(low / 2), _ceiled(min(2 * high, (1 + high) / 2))]


def _early_events(raw: pl.DataFrame, params: PrepareParams) -> float | None:
    """A bit more than the share of events before the row's own date; None without events."""
    if params.label.kind != "event":
        return None
    early = int((raw[params.table.label] < raw[params.table.only("date") or ""]).sum())
    return _ceiled(early / raw.height * 1.2)


def _missing(raw: pl.DataFrame, parts: Parts, params: PrepareParams) -> dict[str, float]:
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


def _decision(data: Dataset, parts: Parts) -> dict[str, float]:
    """Flag as large a share as that of the positives, but by the probability where no row is newest to take it of."""
    newest = [parts[folder / NEWEST].height for folder in (AT_SPLIT, AT_AS_OF)]
    if data.schema.calendar is not None and not all(newest):
        return {"probability": _share_to_flag(data)}
    return {"share": _share_to_flag(data)}


def _share_to_flag(data: Dataset) -> float:
    return float(min(0.5, max(0.01, round(float(data.target.mean()), 2))))


def _segments(columns: list[FoundColumn]) -> list[str]:
    few = [
        column.name
        for column in columns
        if column.role == "feature"
        and column.type in ("category", "boolean")
        and 2 <= column.distinct <= MOST_SEGMENT_VALUES
    ]
    return few[:MOST_SEGMENTS]


def _gates(data: Dataset, split: FoundSplit, parts: Parts) -> dict[str, dict[str, float]]:
    share = _share_to_flag(data)
    flagged = {"min": round(share / 4, 4), "max": min(0.95, 2 * share)}
    gates: dict[str, dict[str, float]] = {"training_roc_auc": {"min": 0.55}} if split.rehearsals else {}
    gates |= {"roc_auc_low": {"above": 0.5}, "brier_skill": {"above": 0}}
    if split.test_rows >= LEAST_FOR_LIFT and max(_shares(parts)) <= MOST_FOR_LIFT:
        gates["lift_10"] = {"min": 1.5}
    gates["precision_lift"] = {"above": 1}
    if "share" in _decision(data, parts):
        gates["flagged_share"] = flagged
        if data.schema.calendar is not None:
            gates |= {"delivered_flagged_share": flagged, "agreement_spearman": {"min": 0.5}}
    return gates


def _floored(share: float) -> float:
    return math.floor(share * 1000) / 1000


def _ceiled(share: float) -> float:
    return math.ceil(share * 1000) / 1000
