"""The metrics of the real run, computed again without the code of the stages."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn import metrics as sk
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import read as load_params
from champion.model.estimators import build_pipeline
from champion.model.model import Model
from champion.model.model_file import load
from champion.params import Params
from champion.table.dataset import Dataset, read_split
from support.project import Project

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def params(real_run: Project) -> Params:
    return load_params(Params, real_run.folder / "params.yaml")


@pytest.fixture(scope="module")
def model(real_run: Project) -> Model:
    return load(real_run.folder / "models/model.skops")


@pytest.fixture(scope="module")
def held_out(real_run: Project) -> Dataset:
    return read_split(real_run.folder / "data/prepared", "test")


@pytest.fixture(scope="module")
def probability(model: Model, held_out: Dataset) -> Floats:
    return model.predict(held_out.rows)


def read(project: Project, name: str) -> dict[str, Any]:
    return read_metrics(project.folder / "metrics" / name)


def delong_error(target: NDArray[np.int8], probability: Floats) -> float:
    """Standard error of ROC AUC (DeLong, DeLong and Clarke-Pearson 1988), by mid-ranks (Sun and Xu 2014)."""
    positive, negative = probability[target == 1], probability[target == 0]
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    below = 1 - (ranks[len(positive) :] - rankdata(negative)) / len(positive)
    return float(np.sqrt(above.var(ddof=1) / len(positive) + below.var(ddof=1) / len(negative)))


def test_recomputed_metrics_clear_the_gates(held_out: Dataset, probability: Floats, params: Params) -> None:
    base_rate = held_out.target.mean()
    constant = np.full(len(held_out.target), base_rate)
    gates = params.gates
    assert sk.roc_auc_score(held_out.target, probability) > gates["roc_auc_low"].min
    lift = sk.average_precision_score(held_out.target, probability) / base_rate
    assert lift > gates["average_precision_lift"].min
    brier, best_constant = (sk.brier_score_loss(held_out.target, scores) for scores in (probability, constant))
    assert brier < best_constant * (1 - gates["brier_skill_low"].min)


def test_derived_metrics_follow_from_scikit_learns(real_run: Project, held_out: Dataset, probability: Floats) -> None:
    reported = read(real_run, "evaluation.json")
    base_rate = held_out.target.mean()
    constant = sk.brier_score_loss(held_out.target, np.full(len(held_out.target), base_rate))
    expected = {
        "rows": held_out.rows.height,
        "base_rate": base_rate,
        "mean_probability": probability.mean(),
        "average_precision_lift": sk.average_precision_score(held_out.target, probability) / base_rate,
        "brier_skill": 1 - sk.brier_score_loss(held_out.target, probability) / constant,
    }
    assert {name: reported[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_the_bootstrap_interval_is_as_wide_as_delongs(
    real_run: Project, held_out: Dataset, probability: Floats
) -> None:
    reported = read(real_run, "evaluation.json")
    width = 2 * 1.96 * delong_error(held_out.target, probability)
    assert reported["roc_auc_high"] - reported["roc_auc_low"] == pytest.approx(width, rel=0.1)
    assert (reported["roc_auc_high"] + reported["roc_auc_low"]) / 2 == pytest.approx(
        reported["roc_auc"], abs=width / 20
    )


def test_every_large_segment_is_reported_with_its_own_metrics(
    real_run: Project, held_out: Dataset, probability: Floats, params: Params
) -> None:
    columns = list(params.evaluate.segments)
    rows = held_out.rows.select(columns).to_pandas().fillna("(missing)")
    rows = rows.assign(target=held_out.target, probability=probability)
    expected = {}
    for column in columns:
        for value, group in rows.groupby(column):
            if len(group) >= params.evaluate.segment_min_rows:
                auc = sk.roc_auc_score(group["target"], group["probability"])
                brier = sk.brier_score_loss(group["target"], group["probability"])
                expected[column, value] = pytest.approx((len(group), auc, brier), abs=1e-6)
    reported = read(real_run, "segments.json")["segments"]
    assert {(s["segment"], s["value"]): (s["rows"], s["roc_auc"], s["brier"]) for s in reported} == expected


def test_one_fold_fitted_again_lies_within_the_reported_folds(real_run: Project, params: Params) -> None:
    data, reported = read_split(real_run.folder / "data/prepared", "train"), read(real_run, "training.json")
    folds = StratifiedKFold(params.train.search.folds, shuffle=True, random_state=params.train.seed)
    seen, left_out = next(iter(folds.split(data.frame, data.target)))
    pipeline = build_pipeline(params.train, data.features).set_params(
        **{f"model__{one['param']}": one["value"] for one in reported["recipe"][0]["chosen"]}
    )
    # Two threads that share busy processors take many times as long as one.
    with threadpool_limits(1):
        pipeline.fit(data.frame.iloc[seen], data.target[seen])
    target, scores = data.target[left_out], pipeline.predict_proba(data.frame.iloc[left_out])[:, 1]
    again = {
        "roc_auc": sk.roc_auc_score(target, scores),
        "average_precision": sk.average_precision_score(target, scores),
        "brier": sk.brier_score_loss(target, scores),
        "log_loss": sk.log_loss(target, scores),
        "f1_weighted": sk.f1_score(target, scores >= 0.5, average="weighted"),
    }
    # None of n values is more than sqrt(n - 1) standard deviations away from their mean.
    furthest = np.sqrt(params.train.search.folds - 1)
    for name, value in again.items():
        assert value == pytest.approx(reported[name], abs=furthest * reported[f"{name}_std"] + 1e-5), name


def test_polars_and_pandas_rows_are_predicted_alike(model: Model, held_out: Dataset) -> None:
    rows = held_out.rows.head(500)
    frame = rows.to_pandas()
    np.testing.assert_array_equal(model.predict(frame[frame.columns[::-1]]), model.predict(rows))


def test_an_unseen_category_counts_as_a_missing_one(model: Model, held_out: Dataset) -> None:
    names = [feature.name for feature in model.features if feature.kind == "category"]
    rows = held_out.rows.head(200)
    unseen = rows.with_columns(pl.lit("never seen").alias(name) for name in names)
    missing = rows.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in names)
    np.testing.assert_array_equal(model.predict(unseen), model.predict(missing))


def test_higher_probabilities_default_more_often(held_out: Dataset, probability: Floats) -> None:
    tenths = pd.qcut(probability, 10, labels=False, duplicates="drop")
    observed = pd.Series(held_out.target).groupby(tenths).mean()
    assert rankdata(observed).tolist() == pytest.approx(list(range(1, len(observed) + 1)), abs=1)
    assert observed.iloc[-1] > 3 * observed.iloc[0]
