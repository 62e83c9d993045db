"""The model that the real pipeline makes."""

from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk
from threadpoolctl import threadpool_limits

from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import read as load_params
from champion.model.estimators import build_pipeline
from champion.model.model import Model
from champion.model.model_file import load
from champion.params import Params
from champion.table.dataset import Dataset, read_split
from support.project import Project

Scored = tuple[Model, Dataset, np.ndarray]


@pytest.fixture(scope="module")
def scored(real_run: Project) -> Scored:
    """The model, the held-out rows and their probabilities."""
    model = load(real_run.folder / "models/model.skops")
    held_out = read_split(real_run.folder / "data/prepared", "test")
    return model, held_out, model.predict(held_out.rows)


def read(project: Project, name: str) -> dict[str, Any]:
    return read_metrics(project.folder / "metrics" / name)


def test_every_gate_passes(real_run: Project) -> None:
    assert "the gate is open" in real_run.champion("gate").stdout


def test_probabilities_are_numbers_between_zero_and_one(scored: Scored) -> None:
    _, held_out, probability = scored
    assert probability.shape == (held_out.rows.height,)
    assert np.isfinite(probability).all()
    assert (probability >= 0).all()
    assert (probability <= 1).all()
    assert len(np.unique(probability)) > 1000


def test_the_reported_metrics_are_scikit_learns(real_run: Project, scored: Scored) -> None:
    _, held_out, probability = scored
    reported = read(real_run, "evaluation.json")
    called = probability >= read_split(real_run.folder / "data/prepared", "train").target.mean()
    expected = {
        "accuracy": sk.accuracy_score(held_out.target, called),
        "precision": sk.precision_score(held_out.target, called),
        "recall": sk.recall_score(held_out.target, called),
        "f1_weighted": sk.f1_score(held_out.target, called, average="weighted"),
        "roc_auc": sk.roc_auc_score(held_out.target, probability),
        "average_precision": sk.average_precision_score(held_out.target, probability),
        "brier": sk.brier_score_loss(held_out.target, probability),
        "log_loss": sk.log_loss(held_out.target, probability),
    }
    assert {name: reported[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert reported["roc_auc_low"] < reported["roc_auc"] < reported["roc_auc_high"]
    assert reported["brier_skill_low"] < reported["brier_skill"] < reported["brier_skill_high"]


def test_the_model_beats_a_logistic_regression_on_every_fourth_row(real_run: Project, scored: Scored) -> None:
    _, held_out, probability = scored
    assert read(real_run, "evaluation.json")["brier_skill_low"] > 0
    params = load_params(Params, real_run.folder / "params.yaml").train
    train = read_split(real_run.folder / "data/prepared", "train")
    peer = build_pipeline(params.model_copy(update={"estimator": "logistic_regression"}), train.features)
    # Two threads that share busy processors take many times as long as one.
    with threadpool_limits(1):
        linear = peer.fit(train.frame[::4], train.target[::4]).predict_proba(held_out.frame)[:, 1]
    assert sk.roc_auc_score(held_out.target, probability) > sk.roc_auc_score(held_out.target, linear)
    assert sk.brier_score_loss(held_out.target, probability) < sk.brier_score_loss(held_out.target, linear)


def test_order_and_unknown_columns_change_no_probability(scored: Scored) -> None:
    model, held_out, probability = scored
    rows = held_out.rows.head(2000)
    shuffled = rows.select(reversed(rows.columns)).with_columns(unknown=pl.lit("x")).reverse()
    np.testing.assert_array_equal(model.predict(shuffled)[::-1], probability[:2000])


def test_one_row_at_a_time_gives_what_the_batch_gives(scored: Scored) -> None:
    model, held_out, probability = scored
    one_by_one = [float(model.predict(held_out.rows[row])[0]) for row in range(25)]
    np.testing.assert_array_equal(one_by_one, probability[:25])


def test_one_row_takes_less_than_100_ms(scored: Scored) -> None:
    model, held_out, _ = scored
    seconds = []
    for row in range(50):
        one = held_out.rows[row]
        start = perf_counter()
        model.predict(one)
        seconds.append(perf_counter() - start)
    assert np.median(seconds) < 0.1


def test_unseen_categories_and_missing_values_are_predicted(scored: Scored) -> None:
    model, held_out, _ = scored
    rows = held_out.rows.head(10)
    names = [feature.name for feature in model.features]
    text = [feature.name for feature in model.features if feature.kind == "category"]
    unseen = rows.with_columns(pl.lit("never seen").alias(name) for name in text)
    missing = rows.with_columns(pl.lit(None, dtype=rows.schema[name]).alias(name) for name in names)
    for odd in (unseen, missing):
        assert np.isfinite(model.predict(odd)).all()


def test_the_worst_segment_is_the_one_that_ranks_worst(real_run: Project, scored: Scored) -> None:
    _, held_out, probability = scored
    report = read(real_run, "segments.json")
    (worst,) = report["worst"]
    assert worst["roc_auc"] == min(segment["roc_auc"] for segment in report["segments"])
    inside = (held_out.rows[worst["segment"]] == worst["value"]).fill_null(False).to_numpy()
    assert worst["rows"] == inside.sum()
    again = sk.roc_auc_score(held_out.target[inside], probability[inside])
    assert worst["roc_auc"] == pytest.approx(again, abs=1e-6)


def test_cross_validation_is_reported_beside_the_held_out_truth(real_run: Project) -> None:
    folds = read(real_run, "training.json")
    assert folds["roc_auc"] > read(real_run, "evaluation.json")["roc_auc"]
    assert 0 < folds["roc_auc_std"] < 0.02
