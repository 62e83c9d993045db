"""Performance counts only rows with a label; an estimate is near the truth where the probabilities are right."""

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from champion.monitoring.performance import READ, Measured, estimate, measure, measure_performance
from champion.pipeline.evaluate.params import Evaluate

EVALUATE = Evaluate(bootstrap_samples=200)


def answers(
    rows: int = 2000, *, seed: int = 0, slope: float = 1.0, version: str = "v1", variant: str | None = None
) -> pl.DataFrame:
    """Answers whose label follows the probability, if that is not multiplied by the slope."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(2, 5, rows)
    return pl.DataFrame({"probability": np.clip(truth * slope, 0, 1), "label": rng.random(rows) < truth}).with_columns(
        decision=pl.col("probability") >= 0.4,
        version=pl.lit(version),
        variant=pl.lit(variant, pl.String),
    )


def unlabelled(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(label=pl.lit(None, pl.Boolean))


def value(measured: Measured, name: str) -> float:
    assert measured.metrics is not None, measured.reason
    return measured.metrics[name]


def test_metrics_of_four_rows_are_those_by_hand() -> None:
    rows = pl.DataFrame(
        {
            "probability": [0.8, 0.6, 0.4, 0.2],
            "decision": [True, True, False, False],
            "label": [True, False, True, False],
        }
    )
    found = measure(rows, 2, EVALUATE)
    expected = {"roc_auc": 0.75, "f1_weighted": 0.5, "observed_expected": 1.0, "precision": 0.5, "recall": 0.5}
    assert {name: pytest.approx(value(found, name)) for name in expected} == expected
    assert found.rows == 4


def test_metrics_are_those_of_scikit_learn() -> None:
    rows = answers().sample(fraction=1, shuffle=True, seed=1)
    found = measure(rows, 2, EVALUATE)
    label, decision = rows["label"].to_numpy(), rows["decision"].to_numpy()
    assert value(found, "roc_auc") == pytest.approx(metrics.roc_auc_score(label, rows["probability"].to_numpy()))
    assert value(found, "f1_weighted") == pytest.approx(metrics.f1_score(label, decision, average="weighted"))
    assert value(found, "precision") == pytest.approx(metrics.precision_score(label, decision))
    assert value(found, "recall") == pytest.approx(metrics.recall_score(label, decision))
    for name in ("roc_auc", "f1_weighted", "observed_expected", "precision", "recall"):
        assert value(found, f"{name}_low") < value(found, name) < value(found, f"{name}_high")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (answers(0), "there is no row with a known label"),
        (answers(1), "there is only 1 row with a known label, and `monitoring.min_rows` is 500"),
        (answers(499), "there are only 499 rows with a known label, and `monitoring.min_rows` is 500"),
        (answers().with_columns(label=pl.lit(True)), "all 2,000 rows have the same label"),
        (answers().with_columns(label=pl.lit(False)), "all 2,000 rows have the same label"),
        (answers().with_columns(probability=pl.lit(float("nan"))), "the probability of a row is no number"),
        (answers().with_columns(probability=pl.lit(None, pl.Float64)), "the probability of a row is no number"),
    ],
)
def test_rows_that_tell_nothing_have_a_reason(rows: pl.DataFrame, reason: str) -> None:
    assert measure(rows, 500, EVALUATE) == Measured(rows.height, None, reason)


def test_a_metric_that_the_rows_do_not_define_is_no_number() -> None:
    found = measure(answers().with_columns(decision=pl.lit(False)), 500, EVALUATE)
    assert np.isnan(value(found, "precision"))
    assert value(found, "recall") == 0
    described = measure_performance(
        answers().with_columns(decision=pl.lit(False)), unlabelled(answers(0)), {}, 500, EVALUATE
    )[0].describe()
    assert described["known"]["metrics"]["precision"] is None


@pytest.mark.parametrize("seed", range(5))
def test_the_estimate_agrees_with_what_comes_true(seed: int) -> None:
    rows = answers(seed=seed)
    expected, came_true = estimate(unlabelled(rows), 1.0, 500, EVALUATE), measure(rows, 500, EVALUATE)
    for name in ("roc_auc", "f1_weighted", "precision", "recall"):
        margin = value(expected, f"{name}_high") - value(expected, f"{name}_low")
        assert abs(value(expected, name) - value(came_true, name)) < margin
        assert value(expected, f"{name}_low") < value(expected, name) < value(expected, f"{name}_high")
    assert "observed_expected" not in (expected.metrics or {})


def test_the_interval_of_an_estimate_holds_what_comes_true_as_often_as_it_says() -> None:
    inside = []
    for seed in range(100):
        rows = answers(500, seed=seed)
        expected, came_true = estimate(unlabelled(rows), 1.0, 500, EVALUATE), measure(rows, 500, EVALUATE)
        inside.append(value(expected, "roc_auc_low") <= value(came_true, "roc_auc") <= value(expected, "roc_auc_high"))
    assert 88 <= sum(inside) <= 99


@pytest.mark.parametrize(
    ("observed_expected", "reason"),
    [
        (0.79, "the last known observed / expected, 0.79, is outside of 0.8 to 1.25"),
        (1.26, "the last known observed / expected, 1.26, is outside of 0.8 to 1.25"),
        (None, "no known label tells whether the probabilities are right"),
        (0.8, None),
        (1.25, None),
    ],
)
def test_an_estimate_is_withheld_where_probabilities_are_wrong(
    observed_expected: float | None, reason: str | None
) -> None:
    assert estimate(unlabelled(answers()), observed_expected, 500, EVALUATE).reason == reason


def test_each_version_and_variant_has_its_own_performance() -> None:
    good, wrong = answers(variant="new_model:on"), answers(slope=1.5, version="v2")
    known = pl.concat([good.select(READ), wrong.select(READ)])
    waiting = pl.concat(unlabelled(answers(seed=1, version=name)).select(READ) for name in ("v1", "v2", "v3", "v4"))
    found = measure_performance(known, waiting, {"v1": 2.0, "v3": 1.1}, 500, EVALUATE)
    told = {(one.version, one.variant): (one.known.rows, one.estimated.rows, one.estimated.reason) for one in found}
    nothing = "there is no row without a label"
    assert list(told) == [("v1", None), ("v1", "new_model:on"), ("v2", None), ("v3", None), ("v4", None)]
    # What came true of v1 counts for more than what was promised at its registration.
    assert told["v1", None] == (0, 2000, None)
    assert told["v1", "new_model:on"] == (2000, 0, nothing)
    assert "is outside of 0.8 to 1.25" in told["v2", None][2]
    assert told["v3", None] == (0, 2000, None)
    assert told["v4", None] == (0, 2000, "no known label tells whether the probabilities are right")
