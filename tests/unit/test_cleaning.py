"""What prepare takes away, for any table."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.pipeline.prepare.cleaning import drop_repeated, empty_invalid, is_invalid
from champion.table.columns import Column, Columns

COLUMNS = Columns(
    {
        "id": Column(type="integer", role="id", range=(0, 2)),
        "count": Column(type="integer", range=(0, 10)),
        "share": Column(type="number", range=(None, 1.0)),
        "code": Column(type="category", values=("Y", "N")),
        "free": Column(type="category"),
        "bad": Column(type="boolean", role="label"),
    }
)
SCHEMA = {
    "id": pl.Int64,
    "count": pl.Int64,
    "share": pl.Float64,
    "code": pl.String,
    "free": pl.String,
    "bad": pl.Boolean,
}
ROWS = st.tuples(
    st.integers(0, 3),
    st.none() | st.integers(-2, 12),
    st.none() | st.floats(-1, 2),
    st.none() | st.sampled_from(["Y", "N", "0", ""]),
    st.none() | st.sampled_from(["a", "b"]),
    st.none() | st.booleans(),
)
TABLES = st.lists(ROWS, max_size=30).map(lambda rows: pl.DataFrame(rows, schema=SCHEMA, orient="row"))


@given(TABLES)
def test_no_invalid_value_is_left_in_a_feature(table: pl.DataFrame) -> None:
    cleaned = empty_invalid(table, COLUMNS)
    for name in COLUMNS.named("feature"):
        invalid = is_invalid(COLUMNS, name)
        if invalid is not None:
            assert cleaned.filter(invalid).is_empty()


@given(TABLES)
def test_emptying_invalid_values_twice_is_the_same_as_once(table: pl.DataFrame) -> None:
    once = empty_invalid(table, COLUMNS)
    assert empty_invalid(once, COLUMNS).equals(once)


@given(TABLES)
def test_what_is_no_invalid_value_stays_where_it_is(table: pl.DataFrame) -> None:
    cleaned = empty_invalid(table, COLUMNS)
    assert cleaned.schema == table.schema
    for name in COLUMNS:
        invalid = is_invalid(COLUMNS, name)
        kept = table if invalid is None or COLUMNS[name].role != "feature" else table.filter(~invalid)
        same = cleaned if kept is table else cleaned.filter(table.select(~invalid).to_series().fill_null(False))  # type: ignore[operator]
        assert same[name].equals(kept[name])


@given(TABLES, st.sampled_from([None, "id"]))
def test_dropping_repeated_rows_keeps_the_first_of_each_in_order(table: pl.DataFrame, key: str | None) -> None:
    cleaned = drop_repeated(table, key)
    assert cleaned.rows() == list(dict.fromkeys(table.rows()))
    assert drop_repeated(cleaned, key).equals(cleaned)


def test_rows_that_share_an_id_but_differ_are_kept() -> None:
    table = pl.DataFrame({"id": [1, 1], "x": [1, 2]})
    assert drop_repeated(table, "id").equals(table)


@pytest.mark.parametrize(("name", "expected"), [("count", [True, False, False, True, None]), ("share", None)])
def test_bounds_themselves_are_no_invalid_values(name: str, expected: list[bool | None] | None) -> None:
    values = [-1, 0, 10, 11, None] if expected else [-9.9, 1.0, 1.1, None]
    invalid = is_invalid(COLUMNS, name)
    assert invalid is not None
    assert pl.DataFrame({name: values}).select(invalid).to_series().to_list() == expected or [False, False, True, None]


def test_a_column_that_declares_no_values_and_no_range_has_no_invalid_values() -> None:
    assert is_invalid(COLUMNS, "free") is None
