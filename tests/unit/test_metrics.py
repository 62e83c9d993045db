"""Held-out metrics, compared with their definitions and with scikit-learn."""

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from champion.model import metrics
from champion.model.bootstrap import Scores, Target, bootstrap, interval
from champion.model.metrics import score, score_segments, score_with_intervals

# Few distinct probabilities, so that ties are common; both classes.
ROWS = (
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9).map(lambda tenth: tenth / 10)), min_size=2, max_size=60)
    .filter(lambda rows: {target for target, _ in rows} == {0, 1})
    .map(lambda rows: (np.array([t for t, _ in rows], dtype=np.int8), np.array([p for _, p in rows])))
)
Rows = tuple[Target, Scores]


class Fixed:
    """A random generator that gives the same rows for every resample."""

    def __init__(self, chosen: NDArray[np.int64]) -> None:
        self.chosen = chosen

    def integers(self, *_: int) -> NDArray[np.int64]:
        return self.chosen


def resampled(rows: Rows, chosen: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The bootstrap values of one resample; `chosen` has positions in the order of rising probability."""
    with monkeypatch.context() as patch:
        patch.setattr(np.random, "default_rng", lambda _: Fixed(chosen))
        return {name: float(draws[0]) for name, draws in bootstrap(*rows, 1, 0).items()}


@given(ROWS)
def test_a_resample_of_every_row_once_has_scikit_learns_auc(rows: Rows) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found = resampled(rows, np.arange(len(rows[0])), patch)
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(*rows))
    assert found["brier_skill"] == pytest.approx(score(*rows, 0.5)["brier_skill"])


@given(ROWS, st.data())
def test_a_resample_has_scikit_learns_weighted_auc_and_brier_score(rows: Rows, data: st.DataObject) -> None:
    target, probability = rows
    size = len(target)
    chosen = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=size, max_size=size)))
    with pytest.MonkeyPatch.context() as patch:
        found = resampled(rows, chosen, patch)
    order = np.argsort(probability, kind="stable")
    target, probability = target[order], probability[order]
    weight = np.bincount(chosen, minlength=size)
    if len(set(target[weight > 0])) < 2:
        assert np.isnan([found["roc_auc"], found["brier_skill"]]).all()
        return
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(target, probability, sample_weight=weight))
    brier = reference.brier_score_loss(target, probability, sample_weight=weight)
    rate = np.average(target, weights=weight)
    assert found["brier_skill"] == pytest.approx(1 - brier / (rate * (1 - rate)))


@given(ROWS)
def test_brier_skill_compares_with_always_saying_the_base_rate(rows: Rows) -> None:
    target, _ = rows
    constant = np.full(len(target), target.mean())
    assert score(target, constant, 0.5)["brier_skill"] == pytest.approx(0, abs=1e-9)
    assert score(target, target.astype(float), 0.5)["brier_skill"] == 1
    assert score(*rows, 0.5)["brier_skill"] == pytest.approx(
        1 - reference.brier_score_loss(*rows) / reference.brier_score_loss(target, constant)
    )


@given(ROWS)
def test_a_higher_threshold_never_raises_recall(rows: Rows) -> None:
    recalls = [score(*rows, threshold)["recall"] for threshold in (0.05, 0.35, 0.5, 0.75, 0.95)]
    assert recalls == sorted(recalls, reverse=True)
    assert recalls[0] == 1


@given(ROWS, st.floats(0.01, 0.99))
def test_the_threshold_moves_no_ranking_metric(rows: Rows, threshold: float) -> None:
    moved = {"accuracy", "precision", "recall", "f1_weighted"}
    one, other = score(*rows, 0.5), score(*rows, threshold)
    assert {k: v for k, v in one.items() if k not in moved} == {k: v for k, v in other.items() if k not in moved}


@given(ROWS)
def test_ranking_metrics_see_only_the_order(rows: Rows) -> None:
    target, probability = rows
    squashed = probability**3 / 2
    for name in ("roc_auc", "average_precision", "average_precision_lift"):
        assert score(target, probability, 0.5)[name] == pytest.approx(score(target, squashed, 0.5)[name])


def test_a_row_at_the_threshold_is_called_positive() -> None:
    scores = score(np.array([0, 1], dtype=np.int8), np.array([0.2, 0.5]), 0.5)
    assert (scores["accuracy"], scores["precision"], scores["recall"]) == (1, 1, 1)


def test_a_perfect_order_has_the_lift_of_one_over_the_base_rate() -> None:
    scores = score(np.array([0, 0, 0, 1], dtype=np.int8), np.array([0.1, 0.2, 0.3, 0.4]), 0.5)
    assert (scores["roc_auc"], scores["average_precision"], scores["average_precision_lift"]) == (1, 1, 4)
    assert (scores["base_rate"], scores["mean_probability"]) == (0.25, 0.25)


def test_calling_no_row_positive_gives_precision_0_without_a_warning() -> None:
    assert score(np.array([0, 1], dtype=np.int8), np.array([0.1, 0.2]), 0.9)["precision"] == 0


@pytest.mark.parametrize("value", [0, 1])
def test_rows_of_one_class_have_no_ranking_metrics(value: int) -> None:
    target = np.full(5, value, dtype=np.int8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = score_with_intervals(target, np.linspace(0.1, 0.9, 5), 0.5, 10, 0)
    absent = {name for name, found in scores.items() if np.isnan(found)}
    assert absent == {
        "roc_auc", "roc_auc_low", "roc_auc_high", "average_precision", "average_precision_lift", "brier_skill",
        "brier_skill_low", "brier_skill_high",
    }  # fmt: skip


def informative(rows: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    probability = rng.random(rows)
    return (rng.random(rows) < probability).astype(np.int8), probability


def test_the_same_seed_draws_the_same_intervals_and_another_does_not() -> None:
    rows = informative(300)
    assert score_with_intervals(*rows, 0.5, 50, 1) == score_with_intervals(*rows, 0.5, 50, 1)
    assert score_with_intervals(*rows, 0.5, 50, 1) != score_with_intervals(*rows, 0.5, 50, 2)


def test_the_interval_holds_the_estimate_and_narrows_with_more_rows() -> None:
    widths = []
    for count in (200, 5000):
        scores = score_with_intervals(*informative(count), 0.5, 200, 0)
        for name in ("roc_auc", "brier_skill"):
            assert scores[f"{name}_low"] < scores[name] < scores[f"{name}_high"]
        widths.append(scores["roc_auc_high"] - scores["roc_auc_low"])
    assert widths[1] < widths[0] / 3


def test_the_spread_of_the_draws_is_the_one_of_new_samples() -> None:
    draws = bootstrap(*informative(500), 400, 0)["roc_auc"]
    samples = [reference.roc_auc_score(*informative(500, seed)) for seed in range(400)]
    assert np.std(draws) == pytest.approx(np.std(samples), rel=0.2)


def test_an_interval_is_the_central_95_percent_of_the_finite_draws() -> None:
    assert interval(np.append(np.linspace(0, 1, 1001), [np.nan, np.inf])) == pytest.approx((0.025, 0.975))
    assert np.isnan(interval(np.array([np.nan, np.nan]))).all()
    assert np.isnan(interval(np.array([]))).all()


def test_segments_are_the_values_with_enough_rows_in_order() -> None:
    target, probability = informative(100)
    segment = pl.Series("sector", ["b"] * 40 + ["a"] * 30 + [None] * 25 + ["c"] * 5)
    rows = score_segments(segment, target, probability, 0.5, 20, 10, 0)
    assert [(row["value"], row["rows"]) for row in rows] == [("(missing)", 25), ("a", 30), ("b", 40)]
    assert {row["segment"] for row in rows} == {"sector"}
    assert rows[2]["roc_auc"] == reference.roc_auc_score(target[:40], probability[:40])


@pytest.mark.parametrize("name", ["count", "value", "rows", "segment", ""])
def test_a_segment_column_may_have_any_name(name: str) -> None:
    target, probability = informative(20)
    rows = score_segments(pl.Series(name, [1, 2] * 10), target, probability, 0.5, 1, 10, 0)
    assert [(row["segment"], row["value"]) for row in rows] == [(name, "1"), (name, "2")]


def test_no_segment_large_enough_gives_no_rows() -> None:
    assert score_segments(pl.Series("s", ["a", "b"]), *informative(2), 0.5, 2, 10, 0) == []


def test_every_metric_that_has_an_interval_is_a_metric() -> None:
    rows = informative(50)
    assert set(bootstrap(*rows, 1, 0)) <= set(metrics.score(*rows, 0.5))
