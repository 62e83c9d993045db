"""Metrics of two models on the same rows, and the paired interval of their difference."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, f1_score, roc_auc_score

from champion.judging.comparison import by_metric
from champion.model.bootstrap import Resamples, paired_interval
from champion.model.weighted import weighted_brier, weighted_f1, weighted_roc_auc


def test_weighted_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 500).astype(np.int8)
    probability = np.round(rng.random(500), 1)
    weight = rng.integers(0, 4, 500).astype(float)
    auc = weighted_roc_auc(target, probability)(weight)
    assert auc == pytest.approx(roc_auc_score(target, probability, sample_weight=weight))
    called = probability >= 0.5
    f1 = weighted_f1(target, called)(weight)
    assert f1 == pytest.approx(f1_score(target, called, sample_weight=weight, average="weighted"))
    brier = weighted_brier(target, probability)(weight)
    assert brier == pytest.approx(brier_score_loss(target, probability, sample_weight=weight))


def test_f1_is_of_the_share_that_the_challengers_cut_flags() -> None:
    rng = np.random.default_rng(0)
    target, probability = rng.integers(0, 2, 500).astype(np.int8), rng.random(500)
    every_row = np.ones(500)
    own = weighted_f1(target, probability >= 0.7)(every_row)
    # The champion ranks alike, but its cut of 0.7 would flag other rows.
    champion, challenger = by_metric("f1_weighted", target, [probability**3, probability], 0.7)
    assert champion(every_row) == challenger(every_row) == own


def test_the_interval_is_of_the_paired_difference() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 2000).astype(np.int8)
    first = target + rng.normal(0, 2, 2000)
    slightly_better = first + 0.1 * target
    one, two = weighted_roc_auc(target, first), weighted_roc_auc(target, slightly_better)
    low, high = paired_interval(one, two, Resamples(2000, None, 200, 0))
    # An unpaired interval would be as wide as the interval of one score, about 0.05.
    assert 0 < low < high < 0.05
    assert high - low < 0.01
    assert paired_interval(one, one, Resamples(2000, None, 100, 0)) == (0.0, 0.0)


def test_one_class_only_gives_no_interval() -> None:
    ones = np.ones(50, dtype=np.int8)
    score = weighted_roc_auc(ones, np.linspace(0, 1, 50))
    assert all(np.isnan(end) for end in paired_interval(score, score, Resamples(50, None, 100, 0)))
