"""A leak of any shape is found, and chance is not reported as a leak."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from champion.pipeline.validate.leaks import separation

ROWS = 4000
RNG = np.random.default_rng(7)
TARGET = pl.Series((RNG.random(ROWS) < 0.2).astype(np.int8))
NOISE = RNG.normal(size=ROWS)


def test_a_feature_that_is_the_target_separates_the_classes() -> None:
    assert separation(TARGET, TARGET) == 1.0
    assert separation(1 - TARGET, TARGET) == 1.0
    assert separation(TARGET.cast(pl.String), TARGET) == 1.0
    assert separation(TARGET + pl.Series(NOISE) * 1e-3, TARGET) > 0.99


@pytest.mark.parametrize("seed", range(5))
def test_independent_features_are_near_one_half(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for feature in (
        pl.Series(rng.normal(size=ROWS)),
        pl.Series(rng.integers(0, 5, ROWS)),
        pl.Series(rng.choice(["a", "b", None], ROWS).tolist(), dtype=pl.String),
        pl.Series(rng.random(ROWS) < 0.5),
    ):
        assert separation(feature, TARGET) < 0.54


@pytest.mark.parametrize("values", [ROWS, ROWS // 2, ROWS // 10])
def test_high_cardinality_noise_is_no_leak(values: int) -> None:
    text = pl.Series(np.random.default_rng(1).integers(0, values, ROWS)).cast(pl.String)
    assert separation(text, TARGET) < 0.55


def test_a_unique_id_is_no_leak() -> None:
    assert separation(pl.Series([str(row) for row in range(ROWS)]), TARGET) == 0.5


def test_a_u_shaped_relation_is_a_leak() -> None:
    extreme = np.abs(NOISE) > np.quantile(np.abs(NOISE), 0.8)
    assert separation(pl.Series(NOISE), pl.Series(extreme.astype(np.int8))) > 0.95


def test_being_missing_can_be_the_leak() -> None:
    feature = pl.Series(np.where(TARGET.to_numpy() == 1, np.nan, NOISE)).fill_nan(None)
    assert separation(feature, TARGET) == 1.0


def test_a_missing_value_is_not_taken_for_a_large_one() -> None:
    values = np.linspace(0, 1, ROWS)
    top = pl.Series((values > 0.98).astype(np.int8))
    feature = pl.DataFrame({"x": values, "row": np.arange(ROWS)}).select(
        pl.when(pl.col("row") % 2 == 0).then(pl.col("x"))
    )["x"]
    assert separation(feature, top) > 0.7


@pytest.mark.parametrize("order", [[0, 1], [0, 0, 1, 1], [0, 1, 1, 0]])
def test_rows_ordered_by_class_neither_hide_a_leak_nor_make_one(order: list[int]) -> None:
    target = pl.Series(order * (1000 // len(order)), dtype=pl.Int8)
    assert separation(target, target) == 1.0
    assert separation(pl.Series([1] * 1000), target) == 0.5
    assert separation(pl.Series(NOISE[:1000]), target) < 0.6


@pytest.mark.parametrize("dtype", [pl.Float64, pl.String, pl.Boolean, pl.Int64])
def test_an_all_missing_column_separates_nothing(dtype: type[pl.DataType]) -> None:
    assert separation(pl.Series([None] * ROWS, dtype=dtype), TARGET) == 0.5


def test_one_class_can_not_be_separated() -> None:
    assert separation(pl.Series(NOISE), pl.Series([0] * ROWS)) == 0.5


@given(st.lists(st.tuples(st.none() | st.floats(-5, 5) | st.just(1.0), st.integers(0, 1)), min_size=1, max_size=200))
def test_it_is_always_a_share_of_at_least_one_half_and_repeats_itself(rows: list[tuple[float | None, int]]) -> None:
    feature = pl.Series([value for value, _ in rows], dtype=pl.Float64)
    target = pl.Series([value for _, value in rows], dtype=pl.Int8)
    found = separation(feature, target)
    assert 0.5 <= found <= 1
    assert separation(feature, target) == found


def test_integers_are_binned_like_numbers() -> None:
    values: NDArray[np.int64] = RNG.integers(0, 10_000, ROWS)
    assert separation(pl.Series(values), pl.Series((values % 10_000 > 8000).astype(np.int8))) > 0.98
