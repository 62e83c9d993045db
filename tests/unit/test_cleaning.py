"""The rows that prepare removes, for any table."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from champion.pipeline.prepare.cleaning import drop_repeated

ROWS = st.tuples(st.integers(0, 3), st.none() | st.integers(-2, 2), st.none() | st.sampled_from(["a", "b"]))
TABLES = st.lists(ROWS, max_size=30).map(
    lambda rows: pl.DataFrame(rows, schema={"id": pl.Int64, "count": pl.Int64, "code": pl.String}, orient="row")
)


@given(TABLES, st.sampled_from([None, "id"]))
def test_dropping_repeated_rows_keeps_the_first_of_each_in_order(table: pl.DataFrame, key: str | None) -> None:
    cleaned = drop_repeated(table, key)
    assert cleaned.rows() == list(dict.fromkeys(table.rows()))
    assert drop_repeated(cleaned, key).equals(cleaned)


def test_rows_that_share_an_id_but_differ_are_kept() -> None:
    table = pl.DataFrame({"id": [1, 1], "x": [1, 2]})
    assert drop_repeated(table, "id").equals(table)
