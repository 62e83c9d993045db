"""All of params.yaml for an undeclared table, from what is found in it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from champion.core.errors import UserError
from champion.core.layout import AT_SPLIT, LABELLED
from champion.core.strict_yaml import explain
from champion.onboarding.column_types import TypedTable, find_types, number_in_another_form
from champion.onboarding.columns import LEAST_GROUPS, SUSPICIOUS, FoundColumn, find_columns
from champion.onboarding.given import Given
from champion.onboarding.label import FoundLabel, find_label
from champion.onboarding.limits import (
    class_share,
    early_events,
    find_decision,
    find_gates,
    find_segments,
    missing_shares,
)
from champion.onboarding.params_text import write_params
from champion.onboarding.reading import RawTable
from champion.onboarding.recipe import FoundRecipe, find_recipe
from champion.onboarding.split import FoundSplit, split_by_date, split_by_share
from champion.params import Challenge, Monitoring
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.prepare.stage import prepare
from champion.table.dataset import Dataset, Schema
from champion.table.features import features_of

# Below, an interval says little.
FEW_OF_A_CLASS = 50


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
        class_share=class_share(parts),
        early_events=early_events(raw, params),
        missing=missing_shares(raw, parts, params),
        scores=recipe.scores,
        judged_in=recipe.judged_in,
        train=recipe.train,
        decision=find_decision(learned, parts),
        segments=find_segments(columns),
        segment_min_rows=max(20, split.test_rows // 20),
        gates=find_gates(learned, split, parts),
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
