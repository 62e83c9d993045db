"""Labelled, cleaned rows, split into training and held-out. Nothing is fitted here."""

from typing import Any

import polars as pl

from champion.pipeline.prepare.cleaning import drop_repeated
from champion.pipeline.prepare.labels import label_rows
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.prepare.splits import split_rows
from champion.table.columns import TARGET
from champion.table.features import describe_features, empty_invalid, features_of


def prepare(raw: pl.DataFrame, params: PrepareParams) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and held-out rows with id, date, features and target. Rows without a label or a needed date are dropped.

    Raises `UserError` when a split would be empty or have only one class.
    """
    columns = params.table
    when = columns.only("date")
    table = raw.with_columns(label_rows(columns, params.label))
    table = table.drop_nulls([TARGET] if when is None else [TARGET, when])
    table = empty_invalid(table, features_of(columns)).select([*_kept(params), TARGET])
    # This comes last: without an id, rows that differed only in the removed values are now the same row.
    table = drop_repeated(table, columns.only("id"))
    holdout_from = params.window.last(params.split.test_months) if params.window is not None else None
    held_out = split_rows(table, params.split, when, holdout_from)
    return table.filter(~held_out), table.filter(held_out)


def describe(train: pl.DataFrame, test: pl.DataFrame, params: PrepareParams) -> dict[str, Any]:
    """What later stages need: roles and types of columns, and the number of rows and the dates of each split."""
    columns = params.table
    when = columns.only("date")
    sides: dict[str, dict[str, Any]] = {}
    for name, rows in (("train", train), ("test", test)):
        sides[name] = {"rows": rows.height, "positives": int(rows[TARGET].sum())}
        if when is not None:
            sides[name] |= {"first": str(rows[when].min()), "last": str(rows[when].max())}
    return {
        "as_of": str(params.as_of) if params.as_of else None,
        "horizon_months": params.label.horizon_months,
        "strategy": params.split.strategy,
        "id": columns.only("id"),
        "date": when,
        "target": TARGET,
        "features": describe_features(features_of(columns)),
        **sides,
    }


def _kept(params: PrepareParams) -> list[str]:
    return [name for name, column in params.columns.items() if column.role in ("id", "date", "feature")]
