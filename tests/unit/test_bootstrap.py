"""Resamples of rows and of groups, and the intervals made from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from champion.model.bootstrap import Resamples, Scores, Target, bootstrap, paired_interval
from champion.model.intervals import interval, prediction_interval
from champion.model.weighted import weighted_roc_auc


def informative(rows: int, seed: int = 0) -> tuple[Target, Scores]:
    rng = np.random.default_rng(seed)
    probability = rng.random(rows)
    return (rng.random(rows) < probability).astype(np.int8), probability


def roc_auc_draws(rows: tuple[Target, Scores], resamples: Resamples) -> Scores:
    weighted = weighted_roc_auc(*rows)
    return bootstrap(lambda weight: {"roc_auc": weighted(weight)}, resamples)["roc_auc"]


def equal_groups(groups: int, size: int) -> NDArray[np.int64]:
    return np.repeat(np.arange(groups), size)


def test_groups_of_one_row_are_drawn_as_rows() -> None:
    by_row, by_group = Resamples(50, None, 20, 7), Resamples(50, np.arange(50), 20, 7)
    assert np.array_equal(list(by_row), list(by_group))


def test_groups_of_copies_give_the_draws_of_the_rows_once() -> None:
    rows = informative(100)
    copies = rows[0].repeat(5), rows[1].repeat(5)
    once = roc_auc_draws(rows, Resamples(100, None, 20, 0))
    assert roc_auc_draws(copies, Resamples(500, equal_groups(100, 5), 20, 0)) == pytest.approx(once)


@given(st.lists(st.integers(-5, 40), min_size=60, max_size=90).map(np.array), st.integers(0, 9))
def test_a_resample_draws_as_many_groups_as_there_are_and_each_as_a_whole(groups: NDArray[np.int64], seed: int) -> None:
    for weight in Resamples(len(groups), groups, 3, seed):
        drawn = {code: set(weight[groups == code]) for code in set(groups)}
        assert all(len(counts) == 1 for counts in drawn.values())
        assert sum(count for counts in drawn.values() for count in counts) == len(drawn)


def test_chosen_rows_keep_their_groups() -> None:
    groups = np.random.default_rng(0).permutation(equal_groups(40, 3))
    resamples = Resamples(120, groups, 5, 0)
    order = np.argsort(groups, kind="stable")
    assert np.array_equal([weight[order] for weight in resamples], list(resamples.at(order)))
    inside = resamples.at(groups < 30)
    assert (inside.rows, inside.effective) == (90, pytest.approx(30))
    assert Resamples(120, None, 5, 0).at(groups < 30).rows == 90


def test_the_effective_number_of_groups_is_kishs() -> None:
    assert Resamples(60, equal_groups(12, 5), 1, 0).effective == pytest.approx(12)
    assert Resamples(4, np.array([9, 2, 9, 9]), 1, 0).effective == pytest.approx(16 / 10)
    assert Resamples(4, None, 1, 0).effective is None


def test_below_20_effective_groups_there_is_no_interval() -> None:
    rows = informative(200)
    score = weighted_roc_auc(*rows)
    few, enough = (Resamples(200, equal_groups(groups, 200 // groups)[:200], 50, 0) for groups in (10, 20))
    assert np.isfinite(interval(roc_auc_draws(rows, enough))).all()
    assert paired_interval(score, score, enough) == (0, 0)
    assert np.isnan(interval(roc_auc_draws(rows, few))).all()
    assert np.isnan(paired_interval(score, score, few)).all()


def test_one_large_group_among_many_leaves_no_interval() -> None:
    groups = np.append(np.zeros(100, int), np.arange(1, 101))
    assert len(set(groups)) == 101
    assert np.isnan(interval(roc_auc_draws(informative(200), Resamples(200, groups, 50, 0)))).all()


def test_the_spread_of_the_draws_is_the_one_of_new_samples() -> None:
    draws = roc_auc_draws(informative(500), Resamples(500, None, 400, 0))
    samples = [roc_auc_score(*informative(500, seed)) for seed in range(400)]
    assert np.std(draws) == pytest.approx(np.std(samples), rel=0.2)


def test_an_interval_is_the_central_95_percent_of_the_finite_draws() -> None:
    assert interval(np.append(np.linspace(0, 1, 1001), [np.nan, np.inf])) == pytest.approx((0.025, 0.975))
    assert np.isnan(interval(np.array([np.nan, np.nan]))).all()
    assert np.isnan(interval(np.array([]))).all()


def test_a_prediction_interval_is_the_one_of_the_t_distribution() -> None:
    # t(2) at .975 is 4.302653 in any table.
    assert prediction_interval([1, 2, 3]) == pytest.approx(
        (2 - 4.302653 * (4 / 3) ** 0.5, 2 + 4.302653 * (4 / 3) ** 0.5)
    )
    assert prediction_interval([1, float("nan"), 2, 3]) == prediction_interval([1, 2, 3])
    assert prediction_interval([5, 5, 5]) == (5, 5)


@pytest.mark.parametrize("values", [[], [0.7, 0.8], [0.7, 0.8, float("nan")]])
def test_fewer_than_three_values_predict_nothing(values: list[float]) -> None:
    assert prediction_interval(values) is None


def test_a_prediction_interval_covers_the_next_value_in_95_percent_of_cases() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(2000):
        *seen, following = rng.normal(0.7, 0.05, 5)
        low, high = prediction_interval(seen)
        covered.append(low <= following <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)
