"""Metrics, compared with their definitions and with scikit-learn."""

import math
from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import ks_2samp
from sklearn import metrics as reference

from champion.model.bootstrap import Resamples, Scores, Target
from champion.model.metrics import score, score_segments, score_with_intervals
from champion.model.model import is_positive
from champion.model.weighted import ranking, weighted_scores

TENTHS = st.integers(1, 9).map(lambda tenth: tenth / 10)
Rows = tuple[Target, Scores]


def arrays(rows: list[tuple[int, float]]) -> Rows:
    return np.array([target for target, _ in rows], dtype=np.int8), np.array([probability for _, probability in rows])


# Few distinct probabilities, so that ties are common; both classes.
ROWS = (
    st.lists(st.tuples(st.integers(0, 1), TENTHS), min_size=2, max_size=60)
    .filter(lambda rows: {target for target, _ in rows} == {0, 1})
    .map(arrays)
)
# 0, or large enough to divide by.
ANY = st.just(0.0) | st.floats(1e-9, 1)
ANY_ROWS = st.lists(st.tuples(st.integers(0, 1), ANY), min_size=1, max_size=30).map(arrays)


def by_rows(rows: Rows, samples: int = 50, seed: int = 0) -> Resamples:
    return Resamples(len(rows[0]), None, samples, seed)


@given(ROWS, TENTHS, TENTHS)
def test_weights_of_one_give_the_scores(rows: Rows, cut: float, known_rate: float) -> None:
    scores = score(*rows, cut, known_rate)
    weighted = weighted_scores(*rows, is_positive(rows[1], cut), known_rate)(np.ones(len(rows[0])))
    precision = weighted.pop("precision")
    assert weighted == pytest.approx({name: scores[name] for name in weighted})
    assert precision == pytest.approx(scores["precision"]) or (math.isnan(precision) and scores["precision"] == 0)


@given(ROWS, st.data())
def test_weighted_scores_are_the_scores_of_repeated_rows(rows: Rows, data: st.DataObject) -> None:
    target, probability = rows
    weight = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(target), max_size=len(target)).filter(any)))
    found = weighted_scores(*rows, probability >= 0.5, 0.3)(weight.astype(float))
    expected = score(np.repeat(target, weight), np.repeat(probability, weight), 0.5, 0.3)
    if np.isnan(found["precision"]):
        assert not weight[probability >= 0.5].any()
        found["precision"] = 0
    assert found == pytest.approx({name: expected[name] for name in found}, nan_ok=True)


@given(ROWS)
def test_brier_skill_compares_with_always_saying_the_known_rate(rows: Rows) -> None:
    target, _ = rows
    assert score(target, np.full(len(target), 0.2), 0.5, 0.2)["brier_skill"] == pytest.approx(0, abs=1e-9)
    assert score(target, target.astype(float), 0.5, 0.2)["brier_skill"] == 1
    known = np.full(len(target), 0.2)
    expected = 1 - reference.brier_score_loss(*rows) / reference.brier_score_loss(target, known)
    assert score(*rows, 0.5, 0.2)["brier_skill"] == pytest.approx(expected)


@given(ROWS)
def test_no_constant_has_skill_in_hindsight(rows: Rows) -> None:
    target, _ = rows
    constant = np.full(len(target), target.mean())
    assert score(target, constant, 0.5, 0.2)["brier_skill_hindsight"] == pytest.approx(0, abs=1e-9)
    assert score(target, constant + 0.01, 0.5, 0.2)["brier_skill_hindsight"] < 0


@given(ROWS)
def test_a_higher_cut_never_raises_recall(rows: Rows) -> None:
    recalls = [score(*rows, cut, 0.5)["recall"] for cut in (0.05, 0.35, 0.5, 0.75, 0.95)]
    assert recalls == sorted(recalls, reverse=True)
    assert recalls[0] == 1


@given(ROWS, st.floats(0.01, 0.99))
def test_the_cut_moves_no_ranking_metric(rows: Rows, cut: float) -> None:
    moved = {"accuracy", "precision", "precision_lift", "recall", "f1_weighted", "flagged_share", "accepted_rate"}
    one, other = ({k: v for k, v in score(*rows, c, 0.5).items() if k not in moved} for c in (0.5, cut))
    assert one == pytest.approx(other, nan_ok=True)


@given(ROWS)
def test_ranking_metrics_see_only_the_order(rows: Rows) -> None:
    target, probability = rows
    one, other = score(target, probability, 0.5, 0.5), score(target, probability**3 / 2, 0.5, 0.5)
    for name in ("roc_auc", "gini", "ks", "average_precision", "average_precision_lift", "lift_5", "lift_20"):
        assert one[name] == pytest.approx(other[name])


@given(ROWS)
def test_ks_is_scipys_statistic(rows: Rows) -> None:
    target, probability = rows
    expected = ks_2samp(probability[target == 0], probability[target == 1], method="exact").statistic
    assert score(*rows, 0.5, 0.5)["ks"] == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 1), TENTHS), min_size=2, max_size=6).map(arrays), st.data())
def test_lift_is_the_mean_of_all_orders_of_tied_rows(rows: Rows, data: st.DataObject) -> None:
    target, probability = rows
    top = data.draw(st.integers(1, len(target)))
    found = ranking(*rows)(np.ones(len(target))).lift(top / len(target))
    if len(set(target)) < 2:
        assert math.isnan(found)
        return
    orders = [o for o in permutations(range(len(target))) if (np.diff(probability[list(o)]) <= 0).all()]
    rate = np.mean([target[list(order[:top])].mean() for order in orders])
    assert found == pytest.approx(rate / target.mean())


def test_a_part_of_a_row_counts_in_part() -> None:
    target, probability = np.array([1, 0, 0, 1], dtype=np.int8), np.array([0.9, 0.8, 0.2, 0.1])
    # The top 10% of 4 rows is .4 of the first row, which is positive: a share of 1, over the base rate of .5.
    assert score(target, probability, 0.5, 0.5)["lift_10"] == pytest.approx(2)
    assert ranking(target, probability)(np.ones(4)).lift(0.375) == pytest.approx(1 / 1.5 / 0.5)


def test_flagged_and_accepted_rows_are_shares() -> None:
    scores = score(np.array([0, 1, 0, 1, 1], dtype=np.int8), np.array([0.1, 0.2, 0.3, 0.5, 0.9]), 0.5, 0.3)
    assert (scores["flagged_share"], scores["accepted_rate"]) == (0.4, pytest.approx(1 / 3))
    assert (scores["observed_expected"], scores["observed_expected_known"]) == pytest.approx((1.5, 2))
    assert (scores["known_rate"], scores["base_rate"], scores["mean_probability"]) == pytest.approx((0.3, 0.6, 0.4))


def test_a_row_at_the_cut_is_flagged() -> None:
    scores = score(np.array([0, 1], dtype=np.int8), np.array([0.2, 0.5]), 0.5, 0.5)
    assert (scores["accuracy"], scores["precision"], scores["recall"]) == (1, 1, 1)


def test_a_perfect_order_has_the_lift_of_one_over_the_base_rate() -> None:
    scores = score(np.array([0, 0, 0, 1], dtype=np.int8), np.array([0.1, 0.2, 0.3, 0.4]), 0.5, 0.5)
    perfect = {"roc_auc": 1, "gini": 1, "ks": 1, "average_precision": 1, "average_precision_lift": 4, "lift_20": 4}
    assert {name: scores[name] for name in perfect} == perfect


def test_flagging_no_row_gives_precision_0_without_a_warning() -> None:
    scores = score(np.array([0, 1], dtype=np.int8), np.array([0.1, 0.2]), 0.9, 0.5)
    assert (scores["precision"], scores["precision_lift"]) == (0, 0)


@given(ROWS)
def test_flagging_every_row_has_a_precision_lift_of_1(rows: Rows) -> None:
    expected = 1 if rows[0].any() else np.nan
    assert score(*rows, 0.0, 0.5)["precision_lift"] == pytest.approx(expected, nan_ok=True)


def test_precision_lift_is_that_of_the_flagged_rows_over_all() -> None:
    scores = score(np.array([0, 0, 1, 1], dtype=np.int8), np.array([0.1, 0.2, 0.3, 0.9]), 0.25, 0.5)
    assert scores["precision_lift"] == 2


@given(ROWS)
def test_the_calibration_line_has_the_highest_likelihood(rows: Rows) -> None:
    target, probability = rows
    scores = score(*rows, 0.5, 0.5)
    slope, intercept = scores["calibration_slope"], scores["calibration_intercept"]
    zeros, ones = probability[target == 0], probability[target == 1]
    assert math.isnan(slope) == (zeros.max() <= ones.min() or ones.max() <= zeros.min())
    if not math.isnan(slope):
        # Both derivatives of the log likelihood are 0 at its highest point.
        odds = logit(probability)
        residual = target - expit(intercept + slope * odds)
        assert (residual.sum(), (residual * odds).sum()) == pytest.approx((0, 0), abs=1e-4)


def test_calibration_of_overconfident_probabilities() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(-2, 1, 100_000)
    target = (rng.random(len(odds)) < expit(0.5 + 0.7 * odds)).astype(np.int8)
    scores = score(target, expit(odds), 0.5, 0.5)
    assert (scores["calibration_slope"], scores["calibration_intercept"]) == pytest.approx((0.7, 0.5), abs=0.03)


@given(ANY_ROWS, ANY, ANY)
def test_any_rows_have_scores_without_a_warning(rows: Rows, cut: float, known_rate: float) -> None:
    scores = score_with_intervals(*rows, cut, known_rate, by_rows(rows, 3))
    assert not any(math.isinf(value) for value in scores.values())


@pytest.mark.parametrize("value", [0, 1])
def test_rows_of_one_class_have_no_ranking_metrics(value: int) -> None:
    target = np.full(5, value, dtype=np.int8)
    scores = score_with_intervals(target, np.linspace(0.1, 0.9, 5), 0.5, 0.5, Resamples(5, None, 10, 0))
    absent = {name for name, found in scores.items() if np.isnan(found)}
    assert absent - {"precision_lift"} == {
        "roc_auc", "roc_auc_low", "roc_auc_high", "gini", "ks", "average_precision", "average_precision_lift",
        "average_precision_lift_low", "average_precision_lift_high", "lift_5", "lift_10", "lift_10_low", "lift_10_high",
        "lift_20", "brier_skill_hindsight", "calibration_slope", "calibration_intercept",
    }  # fmt: skip


def informative(rows: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    probability = rng.random(rows)
    return (rng.random(rows) < probability).astype(np.int8), probability


def test_the_same_seed_draws_the_same_intervals_and_another_does_not() -> None:
    rows = informative(300)
    one, same, other = (score_with_intervals(*rows, 0.5, 0.5, by_rows(rows, seed=seed)) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_the_interval_holds_the_estimate_and_narrows_with_more_rows() -> None:
    widths = []
    for count in (200, 5000):
        rows = informative(count)
        scores = score_with_intervals(*rows, 0.5, 0.5, by_rows(rows, 200))
        for name in ("roc_auc", "brier_skill", "average_precision_lift", "precision", "lift_10"):
            assert scores[f"{name}_low"] < scores[name] < scores[f"{name}_high"]
        widths.append(scores["roc_auc_high"] - scores["roc_auc_low"])
    assert widths[1] < widths[0] / 3


def test_copies_of_a_row_in_one_group_make_no_interval_narrower() -> None:
    rows = informative(300)
    copies = np.random.default_rng(0).permutation(np.repeat(np.arange(300), 10))
    widths = []
    for chosen, groups in ((np.arange(300), None), (copies, copies), (copies, None)):
        target, probability = rows[0][chosen], rows[1][chosen]
        resamples = Resamples(len(chosen), groups, 400, 0)
        scores = score_with_intervals(target, probability, 0.5, 0.5, resamples)
        (segment,) = score_segments(pl.Series(["all"] * len(chosen)), target, probability, 0.5, 1, resamples)
        widths.append([one["roc_auc_high"] - one["roc_auc_low"] for one in (scores, segment)])
    once, grouped, by_row = widths
    assert grouped == pytest.approx(once, rel=0.25)
    assert by_row == pytest.approx(np.array(once) / np.sqrt(10), rel=0.25)


def test_segments_are_the_values_with_enough_rows_in_order() -> None:
    target, probability = informative(100)
    segment = pl.Series("sector", ["b"] * 40 + ["a"] * 30 + [None] * 25 + ["c"] * 5)
    rows = score_segments(segment, target, probability, 0.5, 20, Resamples(100, None, 10, 0))
    assert [(row["value"], row["rows"]) for row in rows] == [("(missing)", 25), ("a", 30), ("b", 40)]
    assert {row["segment"] for row in rows} == {"sector"}
    assert rows[2]["roc_auc"] == pytest.approx(reference.roc_auc_score(target[:40], probability[:40]))


def test_segments_have_rates_of_their_own_rows() -> None:
    segment = pl.Series("s", ["a"] * 4 + ["b"] * 5)
    target = np.array([0, 0, 1, 1, 0, 0, 0, 0, 0], dtype=np.int8)
    probability = np.array([0.1, 0.6, 0.4, 0.9, 0.5, 0.1, 0.1, 0.1, 0.2])
    first, second = score_segments(segment, target, probability, 0.5, 1, Resamples(9, None, 10, 0))
    assert (first["base_rate"], first["observed_expected"]) == (0.5, 1)
    assert (first["true_positive_rate"], first["false_positive_rate"]) == (0.5, 0.5)
    assert (second["base_rate"], second["false_positive_rate"], second["observed_expected"]) == (0, 0.2, 0)
    assert np.isnan([second["true_positive_rate"], second["roc_auc"], second["roc_auc_low"]]).all()
    # Half of the first is accepted, and .8 of the second.
    assert (first["four_fifths"], second["four_fifths"]) == pytest.approx((0.625, 1))


def test_segments_of_which_none_is_accepted_have_no_four_fifths() -> None:
    rows = score_segments(pl.Series("s", ["a", "b"]), *informative(2), 0, 1, Resamples(2, None, 10, 0))
    assert [row["flagged_share"] for row in rows] == [1, 1]
    assert np.isnan([row["four_fifths"] for row in rows]).all()


@pytest.mark.parametrize("name", ["count", "value", "rows", "segment", ""])
def test_a_segment_column_may_have_any_name(name: str) -> None:
    rows = score_segments(pl.Series(name, [1, 2] * 10), *informative(20), 0.5, 1, Resamples(20, None, 10, 0))
    assert [(row["segment"], row["value"]) for row in rows] == [(name, "1"), (name, "2")]


def test_no_segment_large_enough_gives_no_rows() -> None:
    assert score_segments(pl.Series("s", ["a", "b"]), *informative(2), 0.5, 2, Resamples(2, None, 10, 0)) == []
