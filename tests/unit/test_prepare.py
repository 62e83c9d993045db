"""Prepared rows: which rows are removed, and what the splits share."""

from datetime import date

import polars as pl

from champion.pipeline.prepare.params import PrepareParams, Split
from champion.pipeline.prepare.stage import prepare
from champion.table.columns import Column, Label

KEYLESS = PrepareParams(
    as_of=None,
    window_months=None,
    columns={
        "colour": Column(type="category", values=("red", "blue")),
        "size": Column(type="integer"),
        "answer": Column(type="category", role="label"),
    },
    label=Label(kind="value", positive=("yes", "surely")),
    split=Split(strategy="stratified", test_share=0.5),
)


def test_without_an_id_rows_made_equal_by_cleaning_are_never_in_both_splits() -> None:
    """Invalid colours become missing and both answers become 1, so pairs of different raw rows become equal."""
    size = [*range(20)] * 2
    raw = pl.DataFrame(
        {
            "colour": ["violet"] * 20 + ["green"] * 20,
            "size": size,
            "answer": ["yes" if number % 2 else "no" for number in range(20)]
            + ["surely" if number % 2 else "no" for number in range(20)],
        },
        schema_overrides={"size": pl.Int64},
    )
    train, test = prepare(raw, KEYLESS)
    assert train.height + test.height == 20
    assert train.join(test, on=train.columns, nulls_equal=True).is_empty()


def test_rows_without_a_date_or_a_label_go() -> None:
    params = KEYLESS.model_copy(update={"columns": {"day": Column(type="date", role="date"), **KEYLESS.columns}})
    rows = 12
    raw = pl.DataFrame(
        {
            "day": [None, *[date(2020, 1, 1)] * (rows - 1)],
            "colour": ["red"] * rows,
            "size": range(rows),
            "answer": [*["yes", "no"] * (rows // 2 - 1), "yes", None],
        }
    )
    train, test = prepare(raw, params)
    assert sorted([*train["size"], *test["size"]]) == list(range(1, rows - 1))
