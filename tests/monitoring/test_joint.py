"""Joint drift: whether a classifier tells the rows of a reference from recent ones."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from champion.monitoring.joint import ROWS, JointDrift, RowSample, measure_joint_drift
from champion.params import Monitoring

PARAMS = Monitoring(min_rows=100)
RANDOM = np.random.default_rng(1)


def rows(count: int, correlation: float = 0.0) -> pl.DataFrame:
    """Two numbers, each of the same distribution whatever their correlation; a text; and a column without values."""
    first, other = RANDOM.normal(size=(2, count))
    return pl.DataFrame(
        {
            "a": first,
            "b": correlation * first + np.sqrt(1 - correlation**2) * other,
            "t": RANDOM.choice(["x", "y", "z"], count),
            "none": pl.Series([None] * count, dtype=pl.Float64),
        }
    ).with_columns(pl.when(pl.int_range(count) % 10 > 0).then("t").alias("t"))


def joint(before: pl.DataFrame, now: pl.DataFrame) -> JointDrift:
    found = measure_joint_drift(before, now, PARAMS)
    assert found is not None
    return found


def test_equal_rows_cannot_be_told_apart() -> None:
    found = joint(rows(1500), rows(1500))
    assert found.low < 0.5 < found.high
    assert (found.reference_rows, found.rows) == (1500, 1500)


def test_features_that_moved_only_together_are_found() -> None:
    found = joint(rows(1500), rows(1500, 0.9))
    assert found.low > 0.7
    assert found.low < found.roc_auc < found.high
    assert set(list(found.importance)[:2]) == {"a", "b"}


def test_a_text_that_is_all_new_tells_each_row() -> None:
    found = joint(rows(500), rows(500).with_columns(t=pl.lit("new")))
    assert found.roc_auc > 0.95
    assert next(iter(found.importance)) == "t"


def test_the_same_rows_have_the_same_joint_drift() -> None:
    before, now = rows(300), rows(300, 0.5)
    assert joint(before, now) == joint(before, now)


def test_few_rows_have_no_joint_drift() -> None:
    assert measure_joint_drift(rows(99), rows(100), PARAMS) is None
    assert measure_joint_drift(rows(100), pl.DataFrame(), PARAMS) is None


def sampled(table: pl.DataFrame, *cuts: int) -> pl.DataFrame:
    sample = RowSample(["a", "t"])
    for first, last in pairwise([0, *cuts, table.height]):
        sample.add(table[first:last])
    return sample.rows


def test_the_sample_of_rows_in_parts_is_that_of_all_rows_at_once() -> None:
    table = pl.DataFrame({"a": range(12_000), "t": ["x"] * 12_000, "day": [None] * 12_000})
    at_once = sampled(table)
    assert sampled(table, 0, 1, 5000, 5000, 11_000).equals(at_once)
    assert at_once.columns == ["a", "t"]
    assert (at_once.height, at_once["a"].n_unique()) == (ROWS, ROWS)
    assert at_once["a"].mean() == pytest.approx(6000, abs=150)


def test_the_sample_of_few_rows_has_all_of_them() -> None:
    table = pl.DataFrame({"a": range(10), "t": ["x"] * 10})
    assert sampled(table, 3).sort("a").equals(table)
    assert RowSample(["a"]).rows.is_empty()
