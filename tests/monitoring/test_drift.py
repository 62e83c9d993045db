"""The drift of rows from a reference: the numbers, the verdicts, and rows that do not fit."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from frouros.detectors.data_drift import PSI, ChiSquareTest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from champion.model.distribution import ColumnReference
from champion.monitoring.column_drift import Bin, ColumnDrift
from champion.monitoring.drift import Drift, DriftCounts, measure_drift
from champion.params import Monitoring

PARAMS = Monitoring(min_rows=100)
RANDOM = np.random.default_rng(0)


def described(rows: pl.DataFrame, score: pl.Series | None = None, **types: str) -> dict[str, Any]:
    """The reference that these rows are, as a version has it."""
    features = {
        name: {"type": types.get(name, "number"), **ColumnReference.of(rows[name]).describe()} for name in rows.columns
    }
    told = {
        "rows": rows.height,
        "features": features,
        "score": None if score is None else ColumnReference.of(score, 6).describe(),
    }
    return json.loads(json.dumps(told))


def drift(before: pl.DataFrame, now: pl.DataFrame, **types: str) -> Drift:
    return measure_drift(described(before, **types), before.columns, [now], PARAMS)


def only(found: Drift) -> ColumnDrift:
    (one,) = found.features
    return one


def drawn(values: list[Any], shares: list[float], rows: int) -> pl.Series:
    """Values with exactly these shares of rows."""
    counts = [round(rows * share) for share in shares]
    return pl.Series([value for value, count in zip(values, counts, strict=True) for _ in range(count)])


DIGITS = [float(digit) for digit in range(10)]
EVEN, SLOPING = [0.1] * 10, [0.19, 0.17, 0.15, 0.13, 0.11, 0.09, 0.07, 0.05, 0.03, 0.01]


def test_the_index_is_that_of_another_library() -> None:
    before, now = drawn(DIGITS, EVEN, 1000), drawn(DIGITS, SLOPING, 600)
    other = PSI(num_bins=10)
    other.fit(X=before.to_numpy())
    expected, _ = other.compare(X=now.to_numpy())
    assert only(drift(pl.DataFrame({"a": before}), pl.DataFrame({"a": now}))).psi == pytest.approx(expected.distance)


def test_the_test_of_numbers_is_that_of_another_library() -> None:
    before, now = drawn(DIGITS, EVEN, 1000), drawn(DIGITS, SLOPING, 600)
    expected = ks_2samp(before.to_numpy(), now.to_numpy(), method="asymp")
    found = only(drift(pl.DataFrame({"a": before}), pl.DataFrame({"a": now})))
    assert found.test == "ks"
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)


@given(st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=300))
def test_the_test_of_numbers_counts_missing_ones_as_the_lowest(values: list[int | None]) -> None:
    before = pl.Series(DIGITS * 20 + [None] * 20)
    now = pl.Series(values, dtype=pl.Float64)
    expected = ks_2samp(before.fill_null(-1), now.fill_null(-1), method="asymp")
    found = only(drift(pl.DataFrame({"a": before}), pl.DataFrame({"a": now})))
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)


@pytest.mark.parametrize("shares", [[0.5, 0.3, 0.2], [0.5, 0.31, 0.19], [0.1, 0.1, 0.8], [0.6, 0.4, 0]])
def test_the_test_of_texts_is_that_of_another_library(shares: list[float]) -> None:
    values = ["a", "b", "c"]
    before, now = drawn(values, [0.5, 0.5, 0] if shares[2] == 0 else [0.5, 0.3, 0.2], 1000), drawn(values, shares, 500)
    other = ChiSquareTest()
    other.fit(X=before.to_numpy().astype(object))
    expected, _ = other.compare(X=now.to_numpy().astype(object), correction=False)
    found = only(drift(pl.DataFrame({"t": before}), pl.DataFrame({"t": now}), t="category"))
    assert found.test == "chi_square"
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.p_value))


def test_booleans_are_tested_as_texts_are_also_when_a_model_reads_them_as_numbers() -> None:
    before = pl.DataFrame({"b": drawn([True, False], [0.5, 0.5], 1000)})
    flags = drawn([True, False, None], [0.7, 0.2, 0.1], 500)
    as_flags, as_numbers = (
        only(drift(before, pl.DataFrame({"b": one}), b="boolean")) for one in (flags, flags.cast(pl.Float64))
    )
    assert as_flags == as_numbers
    assert [(one.name, one.now) for one in as_flags.bins] == [
        ("false", 0.2), ("true", 0.7), ("(others)", 0), ("(missing)", 0.1),
    ]  # fmt: skip


def test_bins_with_few_rows_are_tested_together() -> None:
    rare = [f"rare {number}" for number in range(10)]
    before = pl.DataFrame({"t": drawn(["a", *rare], [0.9, *[0.01] * 10], 1000)})
    # Of each rare value 100 * 20 / 1100 rows are expected, and of all together 10 times as many.
    now = pl.DataFrame({"t": drawn(["a", "rare 0"], [0.9, 0.1], 100)})
    found = only(drift(before, now, t="category"))
    assert (found.statistic, found.p_value) == pytest.approx((0, 1))


def test_p_values_are_adjusted_for_all_features_together() -> None:
    before = pl.DataFrame({f"f{number}": RANDOM.normal(size=500) for number in range(20)})
    now = pl.DataFrame({f"f{number}": RANDOM.normal(size=500) for number in range(20)})
    found = drift(before, now.with_columns(pl.col("f0") + 0.1, pl.col("f1") + 1))
    # Benjamini and Hochberg 1995: the smallest of p * n / rank over this rank and those above.
    ranked = sorted(found.features, key=lambda one: one.p_value or 0)
    raised = [(one.p_value or 0) * 20 / rank for rank, one in enumerate(ranked, 1)]
    assert [one.adjusted_p_value for one in ranked] == pytest.approx(
        [min(1, *raised[rank:], raised[rank]) for rank in range(20)]
    )
    assert [one.column for one in found.features if one.drifted] == ["f1"]
    assert found.drifted_share == 1 / 20
    assert found.largest_psi == found.features[0].psi


def test_a_difference_that_is_certain_but_small_is_no_drift() -> None:
    before, now = drawn(["a", "b"], [0.5, 0.5], 100_000), drawn(["a", "b"], [0.52, 0.48], 100_000)
    found = only(drift(pl.DataFrame({"t": before}), pl.DataFrame({"t": now}), t="category"))
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert found.drifted is False


def test_a_difference_that_is_large_but_uncertain_is_no_drift() -> None:
    now = pl.DataFrame({"a": RANDOM.normal(0.35, size=30)})
    before = pl.DataFrame({"a": RANDOM.normal(size=30)})
    params = Monitoring(min_rows=30, false_discoveries=1e-6)
    found = only(measure_drift(described(before), before.columns, [now], params))
    assert found.psi is not None
    assert found.psi > 0.1
    assert found.drifted is False


def test_a_category_that_is_all_new_has_drifted() -> None:
    before = pl.DataFrame({"t": drawn(["a", "b"], [0.5, 0.5], 200)})
    found = only(drift(before, pl.DataFrame({"t": ["c"] * 200}), t="category"))
    assert (found.unnamed_before, found.unnamed, found.names_all, found.drifted) == (0, 1, True, True)


def test_a_reference_that_does_not_name_all_its_values_says_so() -> None:
    before = pl.DataFrame({"t": [f"town {number}" for number in range(40)] * 10})
    found = only(drift(before, before, t="category"))
    assert (found.unnamed_before, found.unnamed, found.names_all, found.drifted) == (0.5, 0.5, False, False)


@pytest.mark.parametrize(("kind", "values"), [("number", [*map(float, range(200))]), ("category", ["a", "b"] * 100)])
def test_a_feature_that_is_all_missing_has_drifted(kind: str, values: list[Any]) -> None:
    before = pl.DataFrame({"a": values})
    for missing in (pl.Series([None] * 200), pl.Series([None] * 200, dtype=before["a"].dtype)):
        found = only(drift(before, pl.DataFrame({"a": missing}), a=kind))
        assert (found.missing_before, found.missing, found.drifted) == (0, 1, True)


@pytest.mark.parametrize(("kind", "dtype"), [("number", pl.Float64), ("category", pl.String)])
def test_a_feature_that_was_always_missing_can_be_compared(kind: str, dtype: Any) -> None:
    before = pl.DataFrame({"a": pl.Series([None] * 200, dtype=dtype)})
    found = only(drift(before, before, a=kind))
    assert (found.psi, found.p_value, found.drifted) == (0, 1, False)
    now = pl.DataFrame({"a": pl.Series([1] * 200).cast(dtype)})
    assert only(drift(before, now, a=kind)).drifted is True


def test_numbers_that_are_not_finite_are_missing() -> None:
    before = pl.DataFrame({"a": DIGITS * 20})
    now = pl.DataFrame({"a": [*DIGITS * 20, np.nan, np.inf, -np.inf, None]})
    assert only(drift(before, now)).missing == 4 / 204


def test_the_score_is_compared_apart() -> None:
    before = pl.DataFrame({"a": DIGITS * 20})
    scores = pl.Series(np.linspace(0, 1, 200))
    reference = described(before, scores)
    found = measure_drift(reference, ["a"], [before.with_columns(probability=scores**3)], PARAMS)
    assert found.score is not None
    assert (found.score.column, found.score.drifted) == ("(score)", True)
    assert found.score.adjusted_p_value == found.score.p_value
    assert [one.column for one in found.features] == ["a"]
    assert found.largest_psi == found.score.psi
    assert found.drifted_share == 0


def test_the_score_is_that_of_one_version() -> None:
    before = pl.DataFrame({"a": DIGITS * 20})
    scores = pl.Series(np.linspace(0, 1, 200))
    answers = before.with_columns(probability=scores, version=pl.lit("v2"))
    others = before.with_columns(probability=pl.lit(0.9), version=pl.lit("v1"))
    reference = described(before, scores)
    found = measure_drift(reference, ["a"], [answers, others], PARAMS, "v2")
    assert found.score is not None
    assert (found.rows, found.score.rows, found.score.psi, found.score.drifted) == (400, 200, 0, False)
    found = measure_drift(reference, ["a"], [answers[:99], others], PARAMS, "v2")
    assert found.score is not None
    assert found.score.drifted is None
    assert found.findings == ["no verdict of the score: v2 answered only 99 of the rows"]


def test_of_few_rows_there_is_no_verdict() -> None:
    before, now = pl.DataFrame({"a": DIGITS * 20}), pl.DataFrame({"a": [9.0] * 99})
    for found in (drift(before, now), drift(now, before)):
        assert found.findings in (
            ["no verdict: there are only 99 rows, and `monitoring.min_rows` is 100"],
            ["no verdict: the drift reference has only 99 rows, and `monitoring.min_rows` is 100"],
        )
        assert only(found).psi is not None
        assert (only(found).drifted, found.largest_psi, found.drifted_share) == (None, None, None)


@pytest.mark.parametrize("parts", [[], [pl.DataFrame(schema={"a": pl.Float64, "t": pl.String})]])
def test_an_empty_window_has_no_drift(parts: list[pl.DataFrame]) -> None:
    before = pl.DataFrame({"a": DIGITS * 20, "t": ["x"] * 200})
    found = measure_drift(described(before, t="category"), before.columns, parts, PARAMS)
    assert found.findings == ["no verdict: there are no rows, and `monitoring.min_rows` is 100"]
    assert [(one.psi, one.p_value, one.missing, one.drifted) for one in found.features] == [(None,) * 4] * 2
    json.dumps(found.describe(), allow_nan=False)


def test_a_reference_without_rows_has_no_drift() -> None:
    reference = {"rows": 0, "features": {}, "score": None}
    found = measure_drift(reference, ["a"], [pl.DataFrame({"a": DIGITS * 20})], PARAMS)
    assert found.findings == ["no verdict: the drift reference has no rows, and `monitoring.min_rows` is 100"]
    assert (found.score, found.features) == (None, [])


def test_a_feature_that_only_one_side_has_is_a_finding() -> None:
    before = pl.DataFrame({"a": DIGITS * 20, "gone": DIGITS * 20})
    now = pl.DataFrame({"a": DIGITS * 20, "new": DIGITS * 20})
    found = measure_drift(described(before), now.columns, [now], PARAMS)
    assert found.findings == [
        "gone: the rows do not have it",
        "new: the version's drift reference does not have it",
    ]
    assert only(found).column == "a"


def test_a_feature_of_another_type_is_a_finding() -> None:
    before = pl.DataFrame({"a": DIGITS * 20, "t": ["x", "y"] * 100})
    now = pl.DataFrame({"a": ["x"] * 200, "t": [0.5] * 200})
    found = measure_drift(described(before, t="category"), now.columns, [now], PARAMS)
    told = "the rows have values of another type than the drift reference"
    assert found.findings == [f"a: {told}", f"t: {told}"]
    assert found.features == []


COLUMNS = {
    "a": st.none() | st.floats() | st.sampled_from(DIGITS),
    "t": st.none() | st.sampled_from(["x", "y", "z"]),
    "b": st.none() | st.booleans(),
    "probability": st.floats(0, 1),
}
TYPES = {"a": pl.Float64, "t": pl.String, "b": pl.Boolean, "probability": pl.Float64}
ROWS = st.lists(st.tuples(*COLUMNS.values()), max_size=60).map(lambda rows: pl.DataFrame(rows, TYPES, orient="row"))
BEFORE = pl.DataFrame({"a": DIGITS * 20, "t": ["x", "y"] * 100, "b": [True, False] * 100})
REFERENCE = described(BEFORE, pl.Series(np.linspace(0, 1, 200)), t="category", b="boolean")


@given(ROWS, st.lists(st.integers(0, 60), max_size=4))
def test_rows_in_parts_have_the_drift_of_all_rows_at_once(rows: pl.DataFrame, cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), rows.height]
    parts = [rows[first:last] for first, last in pairwise(ends)]
    params = Monitoring(min_rows=2)
    at_once, in_parts = (measure_drift(REFERENCE, ["a", "t", "b"], one, params) for one in ([rows], parts))
    assert in_parts == at_once
    json.dumps(at_once.describe(), allow_nan=False)


def test_the_psi_is_known_while_rows_are_counted() -> None:
    counts = DriftCounts(REFERENCE, BEFORE.columns)
    assert counts.psi() == {"(score)": None, "a": None, "t": None, "b": None}
    counts.add(BEFORE.with_columns(probability=pl.Series(np.linspace(0, 1, 200))))
    assert counts.psi() == {"(score)": 0, "a": 0, "t": 0, "b": 0}


def test_bins_are_named_by_their_values() -> None:
    before = pl.DataFrame({"a": [0.0] * 50 + [float(number) for number in range(1, 51)], "t": ["<b>"] * 100})
    found = {one.column: [one.name for one in one.bins] for one in drift(before, before, t="category").features}
    assert found["t"] == ["<b>", "(others)", "(missing)"]
    assert found["a"] == [
        "below 0", "exactly 0", "above 0, up to 10", "above 10, up to 20", "above 20, up to 30", "above 30, up to 40",
        "above 40", "(missing)",
    ]  # fmt: skip
    assert Bin("exactly 0", 0.5, 0.5) in drift(before, before).features[0].bins
