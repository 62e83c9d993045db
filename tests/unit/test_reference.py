"""The drift reference: the distribution of each column, as JSON and back."""

import contextlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.core.files import read_json, read_parquet, write_parquet
from champion.core.layout import (
    AT_AS_OF,
    AT_SPLIT,
    LABELLED,
    MODEL,
    NEWEST,
    REFERENCE,
    REFERENCE_ROWS,
    REHEARSED,
    STABILITY,
)
from champion.model.distribution import ColumnReference
from champion.model.model_file import load
from champion.model.stability import psi
from champion.pipeline.evaluate.__main__ import main as evaluate
from champion.pipeline.evaluate.reference import ROWS, describe_reference, sample_rows
from champion.table.columns import ColumnType
from champion.table.dataset import Dataset, Schema
from champion.table.features import Feature
from support.results import PARAMS, make_result, people

# Few values, so that many rows have the value at which a bin ends.
FLOATS = st.floats() | st.sampled_from([0.1, 0.2, 1 / 3])
NUMBERS = st.lists(st.none() | FLOATS, max_size=50).map(lambda v: pl.Series(v, dtype=pl.Float64))
INTEGERS = st.lists(st.none() | st.integers(-5, 5), max_size=50).map(lambda v: pl.Series(v, dtype=pl.Int64))
TEXTS = st.lists(st.none() | st.text(max_size=2), max_size=50).map(lambda v: pl.Series(v, dtype=pl.String))
FLAGS = st.lists(st.none() | st.booleans(), max_size=50).map(lambda v: pl.Series(v, dtype=pl.Boolean))
PAIRS = st.one_of(*(st.tuples(one.filter(lambda v: len(v) > 0), one) for one in (NUMBERS, INTEGERS, TEXTS, FLAGS)))


def through_json(reference: ColumnReference) -> ColumnReference:
    return ColumnReference.parse(json.loads(json.dumps(reference.describe(), allow_nan=False)))


@given(PAIRS)
def test_a_stored_reference_has_the_same_index_as_its_values(pair: tuple[pl.Series, pl.Series]) -> None:
    before, after = pair
    stored = through_json(ColumnReference.of(before))
    assert stored == ColumnReference.of(before)
    assert stored.psi(after) == pytest.approx(psi(before, after), rel=0, abs=0, nan_ok=True)
    assert stored.psi(before) == 0


@given(PAIRS, st.integers(0, 50))
def test_counts_of_parts_add_up_to_those_of_all_rows(pair: tuple[pl.Series, pl.Series], cut: int) -> None:
    reference, after = ColumnReference.of(pair[0]), pair[1]
    counts = reference.count(after)
    assert list(reference.count(after[:cut]) + reference.count(after[cut:])) == list(counts)
    assert counts.sum() == len(after)
    assert reference.psi_of(counts) == pytest.approx(reference.psi(after), rel=0, abs=0, nan_ok=True)


def test_values_that_the_reference_does_not_name_are_counted_before_the_missing_ones() -> None:
    reference = ColumnReference.of(pl.Series(["b", "b", "a"]))
    assert list(reference.count(pl.Series(["a", "c", None, "d", "a"]))) == [0, 2, 2, 1]


def test_a_number_at_the_end_of_a_bin_is_in_it() -> None:
    reference = ColumnReference.of(pl.Series([*map(float, range(1, 101))]))
    assert list(reference.count(pl.Series([10.0, 11.0, 90.0, 91.0, np.inf, np.nan, None]))) == [
        1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 3,
    ]  # fmt: skip


@given(PAIRS)
def test_shares_are_those_of_all_rows(pair: tuple[pl.Series, pl.Series]) -> None:
    described = ColumnReference.of(pair[0]).describe()
    assert sum(described["shares"]) + described["missing"] == pytest.approx(1)
    ends = described.get("edges", described.get("values"))
    assert len(described["shares"]) == len(ends) + 1


def test_numbers_have_edges_and_quantiles_of_their_own_values() -> None:
    described = ColumnReference.of(pl.Series([*map(float, range(1, 101)), None, np.nan, np.inf, None])).describe()
    assert described["edges"] == tuple(range(10, 100, 10))
    assert described["shares"] == [10 / 104] * 10
    assert described["missing"] == 4 / 104
    quantiles = {"0.01": 1, "0.05": 5, "0.25": 25, "0.5": 50, "0.75": 75, "0.95": 95, "0.99": 99}
    assert described["quantiles"] == quantiles


def test_texts_have_values_from_the_commonest_on() -> None:
    described = ColumnReference.of(pl.Series(["b", "a", "c", "c", None])).describe()
    assert described == {"values": ("c", "a", "b"), "shares": [0.4, 0.2, 0.2, 0], "missing": 0.2}


def test_rounded_scores_are_compared_with_rounded_ones() -> None:
    scores = pl.Series([0.12345649, 0.5, 0.9])
    stored = through_json(ColumnReference.of(scores, 6))
    assert stored.quantiles is not None
    assert stored.quantiles["0.01"] == 0.123456
    assert stored.psi(scores) == stored.psi(scores.round(6)) == 0


def dataset(**columns: tuple[ColumnType, list[Any]]) -> Dataset:
    types = {"integer": pl.Int64, "number": pl.Float64, "category": pl.String, "boolean": pl.Boolean}
    features = [Feature(name=name, type=kind) for name, (kind, _) in columns.items()]
    rows = pl.DataFrame({name: pl.Series(values, dtype=types[kind]) for name, (kind, values) in columns.items()})
    return Dataset(rows, Schema(features, None, None, None, []))


def test_without_rows_the_reference_says_so() -> None:
    data = dataset(age=("integer", []), town=("category", []))
    expected = {"rows": 0, "features": {}, "score": None}
    assert describe_reference(data, np.empty(0)) == expected


def test_sampled_rows_are_spread_over_all_rows_in_their_order() -> None:
    data = dataset(age=("integer", list(range(12_000))))
    sampled = sample_rows(data)["age"]
    assert (len(sampled), sampled[0], sampled[-1]) == (ROWS, 0, 11_999)
    assert set(sampled.diff().drop_nulls()) == {2, 3}
    few = dataset(age=("integer", [3, 1, 2]))
    assert sample_rows(few).equals(few.rows)


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "dated"
    make_result(folder, pl.concat([people(2000, 1, 0, date(2017, 1, 1)), people(2000, 2, 10_000, date(2018, 12, 1))]))
    return folder


def test_the_reference_is_made_from_the_newest_rows_and_the_delivered_model(dated: Path) -> None:
    found, newest = read_json(dated / REFERENCE), read_parquet(dated / AT_AS_OF / NEWEST)
    scores = load(dated / MODEL).predict(newest)
    assert found["rows"] == newest.height > 0
    assert {name: one["type"] for name, one in found["features"].items()} == {
        "age": "number", "income": "number", "noise": "number", "region": "category",
    }  # fmt: skip
    for name, one in found["features"].items():
        assert ColumnReference.parse(one).psi(newest[name]) == 0
    score = ColumnReference.parse(found["score"])
    assert score.psi(pl.Series(scores)) == 0
    assert score.psi(pl.Series(load(dated / REHEARSED).predict(newest))) > 0


def test_rows_of_the_reference_are_kept_with_only_the_features(dated: Path) -> None:
    newest = read_parquet(dated / AT_AS_OF / NEWEST)
    kept = read_parquet(dated / REFERENCE_ROWS)
    assert kept.equals(newest.select("income", "age", "noise", "region"))
    content = (dated / REFERENCE_ROWS).read_bytes()
    with contextlib.chdir(dated):
        evaluate()
    assert (dated / REFERENCE_ROWS).read_bytes() == content


def test_without_dates_the_reference_is_the_rows_that_the_model_learned_from(tmp_path: Path) -> None:
    columns = {name: column for name, column in PARAMS["columns"].items() if name != "day"}
    undated: dict[str, Any] = {"as_of": None, "window": None, "columns": columns, "split": {"test_share": 0.5}}
    table = people(2000, 1, 0, date(2017, 1, 1)).drop("day")
    make_result(tmp_path / "undated", table, **undated, label={"kind": "value", "positive": ["yes"]})
    found = read_json(tmp_path / "undated" / REFERENCE)
    learned = read_parquet(tmp_path / "undated" / AT_SPLIT / LABELLED)
    test = read_parquet(tmp_path / "undated/data/prepared/test.parquet")
    assert found["rows"] == learned.height
    moved = {one["column"]: one["psi"] for one in read_json(tmp_path / "undated" / STABILITY)["psi"]}
    for name, one in found["features"].items():
        assert round(ColumnReference.parse(one).psi(test[name]), 6) == moved[name]


def test_a_table_without_newest_rows_is_evaluated_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    make_result(folder, pl.concat([people(500, 1, 0, date(2017, 1, 1)), people(500, 2, 10_000, date(2018, 7, 1))]))
    newest = folder / AT_AS_OF / NEWEST
    write_parquet(newest, read_parquet(newest).clear())
    with contextlib.chdir(folder):
        evaluate()
    assert read_json(folder / REFERENCE)["rows"] == 0
    assert read_parquet(folder / REFERENCE_ROWS).height == 0
