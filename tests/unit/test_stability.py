"""The population stability index and the agreement of two models."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.model.stability import agreement, psi

NUMBERS = st.lists(st.none() | st.floats(), min_size=1, max_size=50).map(lambda v: pl.Series(v, dtype=pl.Float64))
TEXTS = st.lists(st.none() | st.text(max_size=2), min_size=1, max_size=50).map(lambda v: pl.Series(v, dtype=pl.String))


def term(before: float, after: float) -> float:
    return (after - before) * np.log(after / before)


@given(st.tuples(NUMBERS, NUMBERS) | st.tuples(TEXTS, TEXTS))
def test_the_index_is_finite_and_0_for_the_same_values(sides: tuple[pl.Series, pl.Series]) -> None:
    assert 0 <= psi(*sides) < np.inf
    assert psi(sides[0], sides[0]) == 0


def test_numbers_are_compared_by_tenths_of_the_reference() -> None:
    reference = pl.Series(range(1, 101))
    current = pl.Series([*range(1, 11), *range(91, 101)])
    assert psi(reference, current) == pytest.approx(2 * term(0.1, 0.5) + 8 * term(0.1, 1e-4))


@pytest.mark.parametrize(("before", "after"), [([0] * 5 + [1] * 95, [0] * 40 + [1] * 60), ([3] * 10, [2] * 9 + [3])])
def test_a_value_of_most_rows_hides_no_smaller_ones(before: list[int], after: list[int]) -> None:
    zeros, later = (values.count(min(after)) / len(values) for values in (before, after))
    expected = term(max(zeros, 1e-4), later) + term(1 - zeros, 1 - later)
    assert psi(pl.Series(before), pl.Series(after)) == pytest.approx(expected)


def test_text_is_compared_by_value_and_missing_values_are_a_bin() -> None:
    reference, current = pl.Series(["a", "a", "b", None]), pl.Series(["a", "new", None, None])
    expected = term(0.5, 0.25) + term(0.25, 1e-4) + term(1e-4, 0.25) + term(0.25, 0.5)
    assert psi(reference, current) == pytest.approx(expected)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_number_that_is_missing_more_often_is_seen(missing: float | None) -> None:
    reference = pl.Series([1.0, 2.0, 3.0, missing], strict=False)
    current = pl.Series([1.0, 2.0, 3.0, *[missing] * 3], strict=False)
    assert psi(reference, current) == pytest.approx(3 * term(0.25, 1 / 6) + term(0.25, 0.5))


def test_rare_values_are_one_bin() -> None:
    frequent = [f"{number:02}" for number in range(20)] * 3
    reference = pl.Series([*frequent, "rare", "other"])
    assert psi(reference, pl.Series([*frequent, "other", "new"])) == 0
    assert psi(reference, pl.Series([*frequent, "19", "19"])) > 0


@pytest.mark.parametrize("values", [[True, False, False], [None, None, None]])
def test_other_types_are_compared_by_value(values: list[bool | None]) -> None:
    assert psi(pl.Series(values), pl.Series(values)) == 0
    assert psi(pl.Series([True, False, False]), pl.Series([True, True, False])) == pytest.approx(2 * term(1 / 3, 2 / 3))


def test_a_column_that_is_all_missing_later_has_moved() -> None:
    assert psi(pl.Series([1.0, 2.0]), pl.Series([None, None])) > 1
    assert psi(pl.Series([None, None]), pl.Series([1.0, 2.0])) > 1


def test_no_rows_have_no_index() -> None:
    empty = pl.Series([], dtype=pl.Float64)
    assert np.isnan([psi(empty, pl.Series([1.0])), psi(pl.Series([1.0]), empty)]).all()


def test_models_of_the_same_order_agree_in_rank_only() -> None:
    scores = np.random.default_rng(0).random(500)
    assert agreement(scores, scores) == pytest.approx({"spearman": 1, "psi": 0})
    found = agreement(scores, scores**4)
    assert found["spearman"] == pytest.approx(1)
    assert found["psi"] > 0.25
    assert agreement(scores, -scores)["spearman"] == pytest.approx(-1)


@pytest.mark.parametrize("other", [np.array([0.1, 0.2, 0.3]), np.full(3, 0.3)])
def test_a_constant_score_agrees_only_with_itself(other: np.ndarray) -> None:
    constant = np.full(3, 0.2)
    assert agreement(constant, constant) == {"spearman": 1, "psi": 0}
    for found in (agreement(constant, other), agreement(other, constant)):
        assert np.isnan(found["spearman"])
        assert np.isfinite(found["psi"])


def test_no_scores_agree_in_nothing() -> None:
    assert np.isnan(list(agreement(np.empty(0), np.empty(0)).values())).all()
