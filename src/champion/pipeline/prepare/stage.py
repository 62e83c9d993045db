"""Labelled, cleaned rows in the parts that later stages read. Nothing is fitted here."""

from typing import Any

import polars as pl

from champion.core.errors import UserError
from champion.core.layout import AT_AS_OF, AT_SPLIT, LABELLED, TEST
from champion.pipeline.prepare.labels import (
    check_label_values,
    count_label_values,
    describe_label_values,
    label_rows,
)
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.prepare.splits import Parts, split_by_date, split_by_key
from champion.table.columns import TARGET
from champion.table.features import describe_features, empty_invalid, features_of
from champion.table.params import TableParams

KEPT = ("id", "date", "group", "segment", "feature")


def prepare(raw: pl.DataFrame, params: TableParams) -> Parts:
    """The parts, each with id, date, group, segments, features and target. A row without a needed date is dropped.

    Raises `UserError` when a model could not be fitted or tested, because a part has only one class.
    """
    calendar, table = params.calendar, label_and_clean(raw, params)
    parts = split_by_key(table, params) if calendar is None else split_by_date(table, params, calendar)
    for path, part in _needed(parts, params).items():
        if part[TARGET].n_unique() < 2:
            what = "there are no rows" if part.is_empty() else "all rows have the same label"
            settings = "`as_of`, `window`, `split`" if calendar is not None else "`split`"
            if calendar is None and params.table.only("group") is not None:
                settings += ", the role group (few groups can all be on one side)"
            raise UserError(
                f"{path}: {what}, so no model can be {'tested' if path == TEST else 'trained'}. Correct "
                f"{settings}, `label` or `ingest.exclude` in params.yaml."
            )
    return parts


def describe_label(raw: pl.DataFrame, params: TableParams) -> list[str]:
    """Lines about the values in the label column, with the number of rows whose outcome the source knows.

    Raises `UserError` when a value is neither positive nor negative, or none is one of them.
    """
    outcome = params.table.only("known")
    known = raw if outcome is None else raw.filter(pl.col(outcome))
    if params.label.kind == "event":
        events = known[params.table.label].count()
        return [f"a date: {events:,} rows", f"no date: {known.height - events:,} rows"]
    values = count_label_values(known, params.table, params.label)
    check_label_values(values, params.table, params.label)
    return describe_label_values(values)


def find_duplicates(raw: pl.DataFrame, params: PrepareParams) -> tuple[pl.DataFrame, int | None]:
    """The rows without the duplicates if they are to be dropped, and the number of duplicates.

    A duplicate equals an earlier row in all columns. Rows with an id have none (None): there, an id that occurs twice
    breaks the contract.
    """
    if params.table.only("id") is not None:
        return raw, None
    once = raw.unique(keep="first", maintain_order=True)
    return once if params.prepare.drop_duplicates else raw, raw.height - once.height


def label_and_clean(raw: pl.DataFrame, params: TableParams) -> pl.DataFrame:
    """The rows with id, date, group, segments, features and the target as it is known at `as_of`.

    An invalid value of a feature is missing. A row without a needed date is dropped.
    """
    columns, when = params.table, params.table.only("date")
    table = raw.with_columns(label_rows(columns, params.label, params.as_of))
    table = table if when is None else table.drop_nulls(when)
    kept = [name for name, column in columns.items() if column.role in KEPT]
    return empty_invalid(table, features_of(columns)).select([*kept, TARGET])


def describe_columns(params: TableParams, exclusions: dict[str, Any]) -> dict[str, Any]:
    """What later stages need of params.yaml: the columns' roles and types, and the calendar."""
    columns, calendar = params.table, params.calendar
    return {
        "calendar": None if calendar is None else calendar.describe(),
        "date": columns.only("date"),
        "exclusions": exclusions,
        "features": describe_features(features_of(columns)),
        "group": columns.only("group"),
        "id": columns.only("id"),
        "segments": columns.named("segment"),
        # A value label may be missing, too.
        "unknown": columns.only("known") or (columns.label if params.label.kind == "value" else None),
    }


def count_rows(parts: Parts, params: TableParams) -> list[dict[str, Any]]:
    """Each part's rows, positives (None without labels), and first and last date."""
    when = params.table.only("date")
    counted = []
    for path, rows in sorted(parts.items()):
        labelled = TARGET in rows.columns
        part = {"part": str(path), "rows": rows.height, "positives": int(rows[TARGET].sum()) if labelled else None}
        if when is not None and rows.height:
            part |= {"first": str(rows[when].min()), "last": str(rows[when].max())}
        counted.append(part)
    return counted


def _needed(parts: Parts, params: TableParams) -> Parts:
    """The rows from which a model learns, and those that test it."""
    calendar, when = params.calendar, params.table.only("date")
    if calendar is None or when is None:
        return {path: parts[path] for path in (AT_SPLIT / LABELLED, TEST)}
    needed = {TEST: parts[TEST]}
    for folder, day in ((AT_SPLIT, calendar.split), (AT_AS_OF, calendar.as_of)):
        rows = parts[folder / LABELLED]
        needed[folder / LABELLED] = rows.filter(pl.col(when) >= calendar.first_trained(day))
    return needed
