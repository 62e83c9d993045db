"""The model that the real pipeline makes."""

import json
from datetime import date
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr
from sklearn import metrics as sk
from threadpoolctl import threadpool_limits

from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import read as load_params
from champion.model.estimators import build_pipeline
from champion.model.model import Model
from champion.model.model_file import load
from champion.params import Params
from champion.table.dataset import Dataset, Schema
from support.project import Project

Scored = tuple[Model, Dataset, np.ndarray]


def part(project: Project, name: str) -> Dataset:
    prepared = project.folder / "data/prepared"
    return Dataset(pl.read_parquet(prepared / f"{name}.parquet"), Schema.read(prepared / "schema.json"))


def training_rows(project: Project) -> Dataset:
    """The rows that the judged model learned from."""
    data = part(project, "at_split/labelled")
    return data.only(data.trained(date(2008, 1, 1)))


@pytest.fixture(scope="module")
def scored(real_run: Project) -> Scored:
    """The judged model, the test rows and their probabilities."""
    model, test = load(real_run.folder / "models/rehearsed.skops"), part(real_run, "test")
    return model, test, model.predict(test.rows)


def read(project: Project, name: str) -> dict[str, Any]:
    return read_metrics(project.folder / "metrics" / name)


@pytest.mark.example
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
    model, held_out, probability = scored
    reported = read(real_run, "evaluation.json")
    newest = model.predict(part(real_run, "at_split/newest").rows)
    called = probability >= model.manifest.cut
    known_rate = training_rows(real_run).target.mean()
    constant = np.full(len(probability), known_rate)
    # The cut flags at most a tenth of the rows that were new when the model was made, and no lower cut does.
    assert (newest >= model.manifest.cut).mean() <= 0.1
    assert (newest >= np.nextafter(newest[newest < model.manifest.cut].max(), 0)).mean() > 0.1
    expected = {
        "accuracy": sk.accuracy_score(held_out.target, called),
        "precision": sk.precision_score(held_out.target, called),
        "recall": sk.recall_score(held_out.target, called),
        "f1_weighted": sk.f1_score(held_out.target, called, average="weighted"),
        "roc_auc": sk.roc_auc_score(held_out.target, probability),
        "average_precision": sk.average_precision_score(held_out.target, probability),
        "brier": sk.brier_score_loss(held_out.target, probability),
        "log_loss": sk.log_loss(held_out.target, probability),
        "brier_skill": 1
        - sk.brier_score_loss(held_out.target, probability) / sk.brier_score_loss(held_out.target, constant),
        "known_rate": known_rate,
        "flagged_share": called.mean(),
        "cut": model.manifest.cut,
    }
    assert {name: reported[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert reported["roc_auc_low"] < reported["roc_auc"] < reported["roc_auc_high"]
    assert reported["brier_skill_low"] < reported["brier_skill"] < reported["brier_skill_high"]


def test_the_model_beats_a_logistic_regression_on_every_fourth_row(real_run: Project, scored: Scored) -> None:
    _, held_out, probability = scored
    params = load_params(Params, real_run.folder / "params.yaml").train
    train = training_rows(real_run)
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


def test_the_rehearsals_are_the_four_years_before_the_test(real_run: Project) -> None:
    rehearsals = json.loads((real_run.folder / "metrics/rehearsals.json").read_text(encoding="utf-8"))["rehearsals"]
    assert [(one["rehearsal"][:4], one["chose"]) for one in rehearsals] == [
        ("2004", True), ("2005", True), ("2006", False), ("2007", False)
    ]  # fmt: skip
    reported = read(real_run, "evaluation.json")
    assert reported["rehearsed_roc_auc"] == pytest.approx(np.mean([one["roc_auc"] for one in rehearsals]), abs=1e-6)
    assert reported["rehearsed_roc_auc_low"] < reported["roc_auc"] < reported["rehearsed_roc_auc_high"]


def test_the_delivered_model_is_another_and_ranks_the_newest_rows_alike(real_run: Project) -> None:
    judged, delivered = (load(real_run.folder / f"models/{name}.skops") for name in ("rehearsed", "model"))
    assert (judged.manifest.made, delivered.manifest.made) == ("2008-01-01", "2011-01-01")
    assert judged.features == delivered.features
    rows = part(real_run, "at_as_of/newest").rows
    found = spearmanr(judged.predict(rows), delivered.predict(rows)).statistic
    assert read(real_run, "evaluation.json")["agreement_spearman"] == pytest.approx(found, abs=1e-6)
    assert found > 0.5


def test_the_model_files_say_which_rows_they_were_not_made_for(real_run: Project) -> None:
    rules = {"debentures": {"guaranteed_share": 1, "amount_approved": {"above": 35000.0}}}
    assert load(real_run.folder / "models/model.skops").manifest.exclusions == rules
