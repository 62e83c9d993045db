"""Text and typed columns become the declared type; for a value that cannot, only `origin` is not null."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.table.columns import ColumnType, dtype
from champion.table.fields import read_text, read_typed


def parsed(texts: list[str | None], column_type: ColumnType, date_format: str | None = None) -> list[Any]:
    table = pl.DataFrame({"x": texts}, schema={"x": pl.String})
    values = table.select(x=read_text("x", column_type, date_format).value)["x"]
    assert values.dtype == dtype(column_type)
    return values.to_list()


def converted(values: list[Any], dtype: Any, column_type: ColumnType) -> pl.DataFrame:
    """Columns `value` and `origin` of a typed source column."""
    table = pl.DataFrame({"x": values}, schema={"x": dtype})
    field = read_typed("x", column_type, table.schema["x"])
    assert field is not None
    origin = pl.lit(None) if field.origin is None else field.origin
    return table.with_columns(value=field.value, origin=origin)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_integers_round_trip(values: list[int | None]) -> None:
    assert parsed([None if v is None else str(v) for v in values], "integer") == values


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_round_trip(values: list[float | None]) -> None:
    assert parsed([None if v is None else repr(v) for v in values], "number") == values


@given(st.lists(st.none() | st.dates()), st.sampled_from([None, "%d/%m/%Y", "%Y%m%d"]))
def test_dates_round_trip(values: list[date | None], date_format: str | None) -> None:
    def text(value: date) -> str:
        return (date_format or "%Y-%m-%d").replace("%Y", f"{value.year:04}").replace("%m", f"{value.month:02}").replace(
            "%d", f"{value.day:02}"
        )  # fmt: skip

    assert parsed([None if v is None else text(v) for v in values], "date", date_format) == values


@given(st.lists(st.none() | st.text()))
def test_categories_are_kept_as_they_are(values: list[str | None]) -> None:
    assert parsed(values, "category") == values


@pytest.mark.parametrize("word", ["true", "T", "Yes", "y", "1"])
def test_these_words_are_true(word: str) -> None:
    assert parsed([word], "boolean") == [True]


@pytest.mark.parametrize("word", ["false", "F", "No", "n", "0"])
def test_these_words_are_false(word: str) -> None:
    assert parsed([word], "boolean") == [False]


@pytest.mark.parametrize(
    ("text", "column_type"),
    [
        ("2", "boolean"),
        ("maybe", "boolean"),
        ("1.5", "integer"),
        ("9223372036854775808", "integer"),
        ("12a", "integer"),
        ("1,5", "number"),
        ("inf", "number"),
        ("-inf", "number"),
        ("NaN", "number"),
        ("2020-02-30", "date"),
        ("28-Feb-97", "date"),
        ("2020-01-01 10:00", "date"),
    ],
)
def test_what_does_not_parse_is_null(text: str, column_type: ColumnType) -> None:
    assert parsed([text], column_type) == [None]


def test_a_text_column_keeps_its_text_as_origin_unless_it_cannot_fail() -> None:
    table = pl.DataFrame({"x": ["7", "seven"]})
    origin = read_text("x", "integer").origin
    assert origin is not None
    assert table.select(origin)["x"].to_list() == ["7", "seven"]
    assert read_text("x", "category").origin is None


@pytest.mark.parametrize(
    ("values", "given", "column_type", "expected"),
    [
        ([1, None], pl.Int8, "integer", [1, None]),
        ([1, None], pl.UInt32, "number", [1.0, None]),
        ([1.5, float("nan")], pl.Float32, "number", [1.5, None]),
        ([Decimal("2.50")], pl.Decimal(10, 2), "number", [2.5]),
        ([1, 0, None], pl.Int64, "boolean", [True, False, None]),
        ([True, None], pl.Boolean, "boolean", [True, None]),
        ([7, None], pl.Int64, "category", ["7", None]),
        ([True, None], pl.Boolean, "category", ["true", None]),
        ([date(2020, 1, 2)], pl.Date, "date", [date(2020, 1, 2)]),
        ([datetime(2020, 1, 2, 23, 59)], pl.Datetime, "date", [date(2020, 1, 2)]),
        (["7", None], pl.String, "integer", [7, None]),
        (["7", None], pl.Categorical, "integer", [7, None]),
        ([None, None], pl.Null, "date", [None, None]),
        ([None], pl.Null, "category", [None]),
    ],
)
def test_a_typed_column_becomes_the_declared_type(
    values: list[Any], given: Any, column_type: ColumnType, expected: list[Any]
) -> None:
    converted_values = converted(values, given, column_type)["value"]
    assert converted_values.dtype == dtype(column_type)
    assert converted_values.to_list() == expected


@pytest.mark.parametrize(
    ("dtype", "column_type"),
    [
        (pl.Float64(), "integer"),
        (pl.Float64(), "category"),
        (pl.Float64(), "boolean"),
        (pl.Date(), "category"),
        (pl.Int64(), "date"),
        (pl.Boolean(), "number"),
        (pl.List(pl.Int64), "category"),
    ],
)
def test_a_type_that_is_not_the_declared_one_is_refused(dtype: pl.DataType, column_type: ColumnType) -> None:
    assert read_typed("x", column_type, dtype) is None


def test_an_infinite_number_cannot_be_read_and_a_missing_one_can() -> None:
    table = converted([float("inf"), float("-inf"), float("nan"), None, 1.0], pl.Float64, "number")
    assert table["value"].to_list() == [None, None, None, None, 1.0]
    assert table["origin"].is_not_null().to_list() == [True, True, False, False, True]


def test_an_integer_that_is_neither_0_nor_1_is_no_boolean() -> None:
    table = converted([0, 1, 2, None], pl.Int64, "boolean")
    assert table["value"].to_list() == [False, True, None, None]
    assert table["origin"].to_list() == [0, 1, 2, None]
