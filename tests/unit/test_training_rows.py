"""Which rows a judged model learned from: by id, else by values and dates."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from champion.core.errors import UserError
from champion.registry.training_rows import key_columns, pack, seen
from champion.table.keys import row_keys

SCHEMA: dict[str, Any] = {
    "id": None, "date": "day", "group": "shop", "segments": ["town"], "features": [{"name": "size"}, {"name": "town"}],
}  # fmt: skip
ROWS = pl.DataFrame(
    {
        "case": [1, 2, 3],
        "day": [date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1)],
        "shop": ["a", "b", "c"],
        "town": ["x", "x", "y"],
        "size": [1.0, 2.0, 3.0],
        "(target)": [0, 1, 0],
    }
)
DATES = {"first": "2020-01-15", "last": "2020-02-15"}
PARTS = [
    {"part": "data/prepared/at_as_of/labelled.parquet", "first": "2020-03-01", "last": "2020-03-01"},
    {"part": "data/prepared/at_split/labelled.parquet", **DATES},
]
OLDER = {"strategy": "out_of_time", "train": DATES}


def test_an_id_identifies_a_row_alone() -> None:
    window = {"id": "case", "date": "day", "key": key_columns(SCHEMA | {"id": "case"}), "parts": PARTS}
    assert window["key"] == ["case"]
    assert seen(ROWS, pack(row_keys(ROWS[[0, 0]], ["case"])), window).tolist() == [True, False, False]


def test_every_prepared_value_identifies_a_row_without_an_id() -> None:
    assert key_columns(SCHEMA) == ["day", "shop", "town", "size", "(target)"]
    assert key_columns(SCHEMA | {"date": None, "group": None}) == ["town", "size", "(target)"]


@pytest.mark.parametrize("described", [{"parts": PARTS}, OLDER])
def test_a_date_in_the_training_part_is_enough_without_an_id(described: dict[str, Any]) -> None:
    window = {"id": None, "date": "day", "key": key_columns(SCHEMA)} | described
    assert seen(ROWS, pack(row_keys(ROWS[:1], window["key"])), window).tolist() == [True, True, False]


@pytest.mark.parametrize(
    "described",
    [
        {"date": None, "parts": [{"part": "data/prepared/at_split/labelled.parquet"}]},
        {"date": "day", "strategy": "stratified", "train": DATES},
    ],
)
def test_only_values_count_without_a_split_by_date(described: dict[str, Any]) -> None:
    window = {"id": None, "key": ["shop"]} | described
    assert seen(ROWS, pack(row_keys(ROWS[:1], ["shop"])), window).tolist() == [True, False, False]


@pytest.mark.parametrize("column", ["shop", "day"])
def test_a_column_that_identifies_training_rows_is_needed(column: str) -> None:
    window = {"id": None, "date": "day", "key": ["shop"], "parts": PARTS}
    with pytest.raises(UserError, match=f"the test rows lack the column '{column}', which identifies training rows"):
        seen(ROWS.drop(column), b"", window)


def test_a_version_of_before_the_target_had_its_own_name_still_knows_its_rows() -> None:
    undated = SCHEMA | {"date": None, "group": None}
    key = key_columns(undated)
    window = {"id": None, "date": None, "key": [*key[:-1], "target"], "parts": PARTS}
    # A column that has this name today is another one.
    today = ROWS.with_columns(target=pl.lit("x"))
    assert seen(today, pack(row_keys(ROWS[[0, 0]], key)), window).tolist() == [True, False, False]
