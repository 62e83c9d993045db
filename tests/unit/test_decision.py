"""The cut, the share of rows to flag, and what a decision is worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn import metrics as reference

from champion.model.bootstrap import Scores, Target
from champion.model.decision import SHARES, Costs, DecisionMetric, best_share, describe_decision, lowest_cut

SCORES = st.lists(st.integers(0, 20).map(lambda twentieth: twentieth / 20), min_size=1, max_size=50).map(np.array)
FOLD = (
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9)), min_size=4, max_size=30)
    .filter(lambda rows: {target for target, _ in rows} == {0, 1})
    .map(lambda rows: (np.array([t for t, _ in rows], dtype=np.int8), np.array([p / 10 for _, p in rows])))
)
METRICS = {
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "f1": lambda target, called: reference.f1_score(target, called, zero_division=0),
    "f1_weighted": lambda target, called: reference.f1_score(target, called, average="weighted", zero_division=0),
}


@given(SCORES, st.sampled_from(SHARES) | st.floats(0, 1))
def test_the_lowest_cut_flags_at_most_the_share_and_the_next_lower_score_more(scores: Scores, share: float) -> None:
    cut = lowest_cut(scores, share)
    assert (scores >= cut).mean() <= share
    lower = scores[scores < cut]
    if len(lower):
        assert (scores >= lower.max()).mean() > share


def test_a_share_of_all_rows_is_reached_exactly() -> None:
    scores = np.arange(100) / 100
    assert [(scores >= lowest_cut(scores, percent / 100)).sum() for percent in range(101)] == list(range(101))


def test_tied_scores_that_are_too_many_are_not_flagged() -> None:
    scores = np.array([0.1, 0.9, 0.9, 0.9])
    assert lowest_cut(scores, 0.75) == 0.9
    assert lowest_cut(scores, 0.5) == np.nextafter(0.9, 1)


@given(st.lists(FOLD, min_size=1, max_size=3), st.sampled_from(list(METRICS)))
def test_the_best_share_has_the_highest_mean_metric(folds: list[tuple[Target, Scores]], metric: DecisionMetric) -> None:
    def at_each_share(target: Target, scores: Scores) -> list[float]:
        cuts = [lowest_cut(scores, share) for share in SHARES]
        by_cut = {cut: METRICS[metric](target, scores >= cut) for cut in set(cuts)}
        return [by_cut[cut] for cut in cuts]

    values = np.mean([at_each_share(*fold) for fold in folds], axis=0)
    best = SHARES[np.flatnonzero(values >= values.max() - 1e-9)[0]]
    assert best_share(folds, metric) == best


def test_the_best_share_has_the_lowest_expected_cost() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(20_000)
    target = (rng.random(20_000) < probability).astype(np.int8)
    # Flagging pays if the probability is above 1 / (1 + 4), and 80% of the rows are (Elkan 2001).
    assert best_share([(target, probability)], Costs(false_positive=1, false_negative=4)) == pytest.approx(
        0.8, abs=0.03
    )
    assert best_share([(target, probability)], Costs(false_positive=1)) == 0
    assert best_share([(target, probability)], Costs(false_negative=1)) == 1


def test_the_smallest_share_wins_a_tie() -> None:
    # Flagging the two positives is perfect, and no higher share below that of a third row flags more.
    fold = np.array([0, 0, 0, 0, 0, 0, 1, 1], dtype=np.int8), np.arange(8) / 8
    assert best_share([fold], "f1") == 0.25
    nobody = np.array([0, 0, 0, 1], dtype=np.int8), np.full(4, 0.5)
    # With costs of .1 and .3, flagging all of these rows costs the same as flagging none, except for the last digit.
    assert best_share([nobody], Costs(false_positive=0.1, false_negative=0.3)) == 0


def test_a_fold_of_one_class_has_a_best_share() -> None:
    fold = np.zeros(5, dtype=np.int8), np.arange(5) / 5
    assert best_share([fold], "balanced_accuracy") == best_share([fold], "f1") == 0


def test_a_decision_is_described_beside_flagging_nobody_and_everybody() -> None:
    target = np.array([0, 0, 0, 0, 1, 1, 0, 1], dtype=np.int8)
    flagged = np.array([0, 0, 0, 0, 0, 1, 1, 1], dtype=bool)
    costs = Costs(true_positive=1, false_positive=2, true_negative=-3, false_negative=10)
    model, nobody, everybody = describe_decision(target, flagged, costs)
    assert model == {
        "policy": "model",
        "flagged_share": 3 / 8,
        "precision": 2 / 3,
        "recall": 2 / 3,
        "accepted_rate": 1 / 5,
        "expected_cost": (2 * 1 + 1 * 2 + 4 * -3 + 1 * 10) / 8,
    }
    assert nobody == pytest.approx(
        {
            "policy": "flag nobody",
            "flagged_share": 0,
            "precision": np.nan,
            "recall": 0,
            "accepted_rate": 3 / 8,
            "expected_cost": (5 * -3 + 3 * 10) / 8,
        },
        nan_ok=True,
    )
    assert everybody == pytest.approx(
        {
            "policy": "flag everybody",
            "flagged_share": 1,
            "precision": 3 / 8,
            "recall": 1,
            "accepted_rate": np.nan,
            "expected_cost": (3 * 1 + 5 * 2) / 8,
        },
        nan_ok=True,
    )


def test_a_decision_without_costs_or_positives_has_none() -> None:
    rows = describe_decision(np.zeros(4, dtype=np.int8), np.array([True, False, False, False]), None)
    assert [row["expected_cost"] for row in rows] == [None] * 3
    assert np.isnan([row["recall"] for row in rows]).all()


@pytest.mark.parametrize("values", [{}, {"true_positive": 2.0, "false_negative": 2.0}])
def test_costs_that_do_not_depend_on_the_decision_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="nothing to decide"):
        Costs(**values)
