"""One row, one way: a single row, a table, and prepare and train read the same values in the same way."""

import math
from datetime import date
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.core.errors import UserError
from champion.core.layout import TEST
from champion.pipeline.prepare.stage import describe_columns, prepare
from champion.table.columns import ColumnType, dtype
from champion.table.dataset import Dataset, Schema
from champion.table.features import Feature, empty_invalid, is_invalid, parse_features, to_frame
from champion.table.params import TableParams
from champion.table.rows import to_row, to_row_frame

COLUMNS: dict[str, Any] = {
    "count": {"type": "integer", "range": [0, 10]},
    "free_count": {"type": "integer"},
    "share": {"type": "number", "range": [None, 1.0]},
    "free_share": {"type": "number"},
    "code": {"type": "category", "values": ["Y", "N"]},
    "free_code": {"type": "category"},
    "flag": {"type": "boolean"},
}
FEATURES = [Feature.model_validate({"name": name, **column}) for name, column in COLUMNS.items()]
SCHEMA = {feature.name: dtype(feature.type) for feature in FEATURES}
INTEGERS = st.none() | st.integers(-2, 12) | st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.none() | st.floats(-1, 2) | st.floats()
TEXTS = st.none() | st.sampled_from(["Y", "N", "0", "", "99999"]) | st.text(max_size=3)
ROWS = st.tuples(INTEGERS, INTEGERS, NUMBERS, NUMBERS, TEXTS, TEXTS, st.none() | st.booleans())
TABLES = st.lists(ROWS, min_size=4, max_size=12).map(lambda rows: pl.DataFrame(rows, schema=SCHEMA, orient="row"))
ANYTHING = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=3) | st.dates()


def same(left: Any, right: Any) -> bool:
    return left == right or (isinstance(left, float) and math.isnan(left) and math.isnan(right))


def prepared(table: pl.DataFrame) -> Dataset:
    """The rows as prepare leaves them and a model learns from them, in the order of the table."""
    params = TableParams.model_validate(
        {
            "as_of": "2021-01-01",
            "window": 12,
            "columns": {
                "key": {"type": "integer", "role": "id"},
                "day": {"type": "date", "role": "date"},
                **COLUMNS,
                "bad": {"type": "boolean", "role": "label"},
            },
            "label": {"kind": "value", "positive": [True]},
            "split": {"test": 12},
        }
    )
    numbers = pl.int_range(pl.len())
    raw = table.with_columns(key=numbers, day=date(2020, 5, 1), bad=numbers % 2 == 0)
    # The judged model needs rows of both classes too.
    raw = pl.concat([raw, raw.with_columns(key=numbers + 1000, day=date(2019, 5, 1))])
    parts = prepare(raw, params)
    features = parse_features(describe_columns(params, {})["features"])
    schema = Schema(features, params.calendar, "day", None, [])
    return Dataset(parts[TEST], schema)


@given(TABLES)
def test_a_table_at_prediction_is_what_training_saw(table: pl.DataFrame) -> None:
    trained = prepared(table)
    pd.testing.assert_frame_equal(to_frame(table, trained.features), trained.frame)


@given(TABLES)
def test_a_row_alone_is_what_its_table_is(table: pl.DataFrame) -> None:
    frame = to_frame(table, FEATURES)
    for number, row in enumerate(table.iter_rows(named=True)):
        alone = to_row(row, FEATURES)
        assert list(alone) == list(frame.columns)
        assert all(same(value, frame[name].iloc[number]) for name, value in alone.items())
        pd.testing.assert_frame_equal(to_row_frame(row, FEATURES), frame.iloc[[number]].reset_index(drop=True))


@given(TABLES)
def test_a_pandas_table_is_what_a_polars_table_is(table: pl.DataFrame) -> None:
    pd.testing.assert_frame_equal(to_frame(table.to_pandas(), FEATURES), to_frame(table, FEATURES))


@given(TABLES)
def test_what_a_model_sees_is_seen_the_same_again(table: pl.DataFrame) -> None:
    frame = to_frame(table, FEATURES)
    pd.testing.assert_frame_equal(to_frame(frame, FEATURES), frame)


@given(st.sampled_from(["integer", "number", "category", "boolean"]), ANYTHING)
def test_a_value_of_another_type_is_refused_alone_and_in_a_table(column_type: ColumnType, value: Any) -> None:
    features = [Feature(name="x", type=column_type)]
    answers: list[Any] = []
    for read in (
        lambda: to_row({"x": value}, features)["x"],
        lambda: to_frame(pl.DataFrame({"x": [value]}), features)["x"].iloc[0],
        lambda: to_frame(pd.DataFrame({"x": [value]}), features)["x"].iloc[0],
    ):
        try:
            answers.append(read())
        except UserError as error:
            answers.append(str(error))
    assert same(answers[0], answers[1])
    assert same(answers[0], answers[2])


@pytest.mark.parametrize(
    ("column_type", "value"), [("integer", 1.5), ("number", "1"), ("number", True), ("boolean", 2), ("category", 1.0)]
)
def test_a_wrong_type_is_told_with_the_column(column_type: ColumnType, value: object) -> None:
    features = [Feature(name="x", type=column_type)]
    with pytest.raises(UserError, match=r"^the column 'x' holds a value that is not .+\. Correct it\.$"):
        to_row({"x": value}, features)


def test_a_feature_that_is_not_there_is_named() -> None:
    for read in (lambda: to_row({}, FEATURES), lambda: to_frame(pl.DataFrame({"y": [1]}), FEATURES)):
        with pytest.raises(UserError, match="the model needs the column 'count', which is missing"):
            read()


@given(TABLES)
def test_no_invalid_value_is_left_in_a_feature(table: pl.DataFrame) -> None:
    cleaned = empty_invalid(table, FEATURES)
    for feature in FEATURES:
        invalid = is_invalid(feature, pl.col(feature.name))
        if invalid is not None:
            assert cleaned.filter(invalid).is_empty()


@given(TABLES)
def test_a_valid_value_stays_where_it_is(table: pl.DataFrame) -> None:
    cleaned = empty_invalid(table, FEATURES)
    assert cleaned.schema == table.schema
    for feature in FEATURES:
        invalid = is_invalid(feature, pl.col(feature.name))
        valid = table.select(pl.repeat(True, pl.len()) if invalid is None else ~invalid).to_series().fill_null(True)
        assert cleaned.filter(valid)[feature.name].equals(table.filter(valid)[feature.name])


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("count", [-1, 0, 10, 11, None], [True, False, False, True, None]),
        ("share", [-9.9, 1.0, 1.1, None], [False, False, True, None]),
    ],
)
def test_a_bound_itself_is_valid(name: str, values: list[Any], expected: list[bool | None]) -> None:
    feature = next(feature for feature in FEATURES if feature.name == name)
    invalid = is_invalid(feature, pl.col(name))
    assert invalid is not None
    assert pl.DataFrame({name: values}).select(invalid).to_series().to_list() == expected
