"""Stage 2: labelled, cleaned rows, split into training and held-out -> data/prepared/. Nothing is fitted here."""

from pathlib import Path
from typing import Any

import polars as pl

from champion.artifacts import read_parquet, replacing, write_json, write_parquet
from champion.data.cleaning import drop_repeated, empty_strays
from champion.data.labels import TARGET, label_rows
from champion.data.splits import split_rows
from champion.data.window import holdout_start, labelled_window
from champion.errors import told_plainly
from champion.params import AsOf, Column, Label, Months, Sections, Split, load

RAW = Path("data/raw.parquet")
PREPARED = Path("data/prepared")


class PrepareParams(Sections):
    """The sections of params.yaml that this stage reads."""

    as_of: AsOf | None
    columns: dict[str, Column]
    label: Label
    window_months: Months | None
    split: Split


def prepare(raw: pl.DataFrame, params: PrepareParams) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and held-out rows: id, date, features, target. Rows without a label or, where one is due, a date go.

    Raises `UserError` when a split would be empty or of one class.
    """
    columns = params.table
    when = columns.only("date")
    table = raw.with_columns(label_rows(columns, params.label))
    table = table.drop_nulls([TARGET] if when is None else [TARGET, when])
    table = empty_strays(table, columns).select([*_kept(params), TARGET])
    # Last: without an id, rows that differed only in what was just taken away are the same row.
    table = drop_repeated(table, columns.only("id"))
    holdout_from = None
    if params.as_of is not None and params.window_months is not None:
        window = labelled_window(params.as_of, params.label.horizon_months, params.window_months)
        holdout_from = holdout_start(window, params.split.test_months)
    held_out = split_rows(table, params.split, when, holdout_from)
    return table.filter(~held_out), table.filter(held_out)


def describe(train: pl.DataFrame, test: pl.DataFrame, params: PrepareParams) -> dict[str, Any]:
    """What later stages need to know of the splits: roles and types of columns, and each split's rows and dates."""
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
        "features": [{"name": name, "type": columns[name].type} for name in columns.named("feature")],
        **sides,
    }


def _kept(params: PrepareParams) -> list[str]:
    return [name for name, column in params.columns.items() if column.role in ("id", "date", "feature")]


def main() -> None:
    with told_plainly():
        params = load(PrepareParams)
        train, test = prepare(read_parquet(RAW), params)
        with replacing(PREPARED) as draft:
            write_parquet(draft / "train.parquet", train)
            write_parquet(draft / "test.parquet", test)
            write_json(draft / "schema.json", describe(train, test, params))
        for name, rows in (("train", train), ("test", test)):
            print(f"{PREPARED / name}.parquet: {rows.height:,} rows, {rows[TARGET].sum() / rows.height:.2%} positive")


if __name__ == "__main__":
    main()
