"""Text and typed columns become the declared type; for a value that cannot, only `origin` is not null."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.table.columns import ColumnType, dtype
from champion.table.fields import MISSING_VALUES, read_text, read_typed
from champion.table.text_form import TextForm


def parsed(texts: list[str | None], column_type: ColumnType, **form: Any) -> list[Any]:
    table = pl.DataFrame({"x": texts}, schema={"x": pl.String})
    values = table.select(x=read_text("x", column_type, TextForm(**form)).value)["x"]
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

    assert parsed([None if v is None else text(v) for v in values], "date", date_format=date_format) == values


@given(st.lists(st.none() | st.text().filter(lambda text: text not in MISSING_VALUES)))
def test_categories_are_kept_as_they_are(values: list[str | None]) -> None:
    assert parsed(values, "category") == values


@pytest.mark.parametrize("text", ["583", "583.", "583.0", "583.000", "+583.0"])
def test_an_integer_may_be_written_with_decimals_of_zero(text: str) -> None:
    assert parsed([text], "integer") == [583]


@pytest.mark.parametrize(
    "time",
    ["", "T00:00", " 23:59:59", "T23:59:59.123456", "T10:00:00Z", " 10:00:00 UTC", "T23:30:00-05:00", " 10:00+0200"],
)
def test_the_date_of_an_iso_datetime_is_the_one_that_is_written(time: str) -> None:
    assert parsed([f"2020-01-02{time}"], "date") == [date(2020, 1, 2)]


def test_a_date_format_may_hold_a_time() -> None:
    assert parsed(["02.01.2020 17:30"], "date", date_format="%d.%m.%Y %H:%M") == [date(2020, 1, 2)]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ({"decimal": ","}, "1,5", 1.5),
        ({"decimal": ","}, "1.5", None),
        ({"decimal": ",", "thousands": "."}, "-1.234.567,5", -1234567.5),
        ({"decimal": ",", "thousands": "."}, "1.5", None),
        ({"decimal": ",", "thousands": "\u202f"}, "12\u202f345,25", 12345.25),
        ({"thousands": ","}, "1,234", 1234.0),
        ({"thousands": ","}, "12,34,567.5", 1234567.5),
        ({"thousands": ","}, "1234567", 1234567.0),
        ({"thousands": ","}, "1,23", None),
        ({"thousands": ","}, "1,234e2", 123400.0),
        ({"thousands": "'"}, "1'234.50", 1234.5),
        ({"thousands": ","}, "inf", None),
    ],
)
def test_a_number_is_read_in_its_form_or_not_at_all(form: dict[str, str], text: str, expected: float | None) -> None:
    assert parsed([text], "number", **form) == [expected]


@given(st.integers(-(10**15), 10**15))
def test_grouped_integers_round_trip(value: int) -> None:
    assert parsed([f"{value:,}".replace(",", ".") + ",0"], "integer", decimal=",", thousands=".") == [value]


def test_declared_words_are_missing_besides_the_usual_ones() -> None:
    assert parsed(["-999", "7", "?"], "integer", na_values=("?", -999)) == [None, 7, None]
    origin = read_text("x", "integer", TextForm(na_values=("?",))).origin
    assert origin is not None
    assert pl.DataFrame({"x": ["?", "!"]}).select(origin)["x"].to_list() == [None, "!"]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("-999", {}),
        ("-999.0", {}),
        ("-9.99e2", {}),
        ("-999,0", {"decimal": ","}),
        ("-999,00", {"decimal": ",", "thousands": "."}),
    ],
)
def test_a_declared_number_is_missing_however_it_is_written(text: str, form: dict[str, Any]) -> None:
    table = pl.DataFrame({"x": [text, "7"]})
    field = read_text("x", "number", TextForm(na_values=(-999,), **form))
    assert field.origin is not None
    assert table.select(field.value)["x"].to_list() == [None, 7.0]
    assert table.select(field.origin).to_series().to_list() == [None, "7"]


def test_a_declared_fraction_is_missing() -> None:
    assert parsed(["-9.50", "-9.5", "-9"], "number", na_values=(-9.5,)) == [None, None, -9.0]


def test_a_declared_number_is_missing_among_integers() -> None:
    assert parsed(["-999.0", "-999", "7"], "integer", na_values=(-999, 10**400)) == [None, None, 7]


def test_a_declared_number_is_a_text_among_texts() -> None:
    assert parsed(["-999", "-999.0"], "category", na_values=(-999,)) == [None, "-999.0"]


def test_a_declared_text_is_no_number() -> None:
    assert parsed(["-999.0"], "number", na_values=("-999",)) == [-999.0]


@pytest.mark.parametrize(
    ("values", "given", "column_type"),
    [([-999.0, 7.0], pl.Float64, "number"), ([-999, 7], pl.Int16, "integer"), ([-999.0, 7.0], pl.Float32, "integer")],
)
def test_a_declared_number_is_missing_in_a_typed_column(values: list[Any], given: Any, column_type: ColumnType) -> None:
    table = pl.DataFrame({"x": pl.Series(values, dtype=given)})
    field = read_typed("x", column_type, table.schema["x"], TextForm(na_values=(-999,)))
    assert field is not None
    assert field.origin is not None
    assert table.select(field.value)["x"].to_list() == [None, 7]
    assert table.select(field.origin).to_series().to_list() == [None, 7]


@pytest.mark.parametrize("word", MISSING_VALUES)
@pytest.mark.parametrize("given", [pl.String, pl.Categorical])
def test_the_usual_words_are_missing_in_a_typed_column_of_text(word: str, given: Any) -> None:
    table = converted([word, "7"], given, "integer")
    assert table["value"].to_list() == [None, 7]
    assert table["origin"].to_list() == [None, "7"]
    assert parsed([word, "a"], "category") == [None, "a"]


def test_the_date_of_a_time_is_that_of_its_zone() -> None:
    late = datetime(2020, 1, 1, 23, 30, tzinfo=ZoneInfo("America/New_York"))
    found = converted([late], pl.Datetime("us", "America/New_York"), "date")["value"]
    assert found.to_list() == [date(2020, 1, 1)]


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
        ("2020-01-01T", "date"),
        ("2020-01-01 25:00", "date"),
        ("2020-01-01 10:00 in the morning", "date"),
        ("583.01", "integer"),
        (".0", "integer"),
        ("5 83", "integer"),
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
        ([583.0, float("nan"), None], pl.Float64, "integer", [583, None, None]),
        ([583.5, float("inf"), 1e30], pl.Float64, "integer", [None, None, None]),
        ([Decimal("583.00")], pl.Decimal(10, 2), "integer", [583]),
        ([2**63], pl.UInt64, "integer", [None]),
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
