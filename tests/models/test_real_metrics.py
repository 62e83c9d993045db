"""The metrics of the real run, computed again without the code of the stages."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp, rankdata
from sklearn import metrics as sk
from threadpoolctl import threadpool_limits

from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import read as load_params
from champion.model.estimators import build_pipeline
from champion.model.model import Model
from champion.model.model_file import load
from champion.params import Params
from champion.table.dataset import Dataset
from models.test_real_model import part
from support.project import Project

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def params(real_run: Project) -> Params:
    return load_params(Params, real_run.folder / "params.yaml")


@pytest.fixture(scope="module")
def model(real_run: Project) -> Model:
    return load(real_run.folder / "models/rehearsed.skops")


@pytest.fixture(scope="module")
def held_out(real_run: Project) -> Dataset:
    return part(real_run, "test")


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


def test_recomputed_metrics_clear_the_gates(
    model: Model, held_out: Dataset, probability: Floats, params: Params
) -> None:
    known = np.full(len(held_out.target), model.manifest.base_rate)
    brier, of_the_known_rate = (sk.brier_score_loss(held_out.target, scores) for scores in (probability, known))
    assert 1 - brier / of_the_known_rate > params.gates["brier_skill"].above
    assert sk.roc_auc_score(held_out.target, probability) > params.gates["roc_auc_low"].above


def test_derived_metrics_follow_from_scikit_learns(real_run: Project, held_out: Dataset, probability: Floats) -> None:
    reported = read(real_run, "evaluation.json")
    base_rate = held_out.target.mean()
    constant = sk.brier_score_loss(held_out.target, np.full(len(held_out.target), base_rate))
    expected = {
        "rows": held_out.rows.height,
        "base_rate": base_rate,
        "mean_probability": probability.mean(),
        "average_precision_lift": sk.average_precision_score(held_out.target, probability) / base_rate,
        "brier_skill_hindsight": 1 - sk.brier_score_loss(held_out.target, probability) / constant,
        "gini": 2 * sk.roc_auc_score(held_out.target, probability) - 1,
        "ks": ks_2samp(probability[held_out.target == 1], probability[held_out.target == 0]).statistic,
        "observed_expected": base_rate / probability.mean(),
    }
    assert {name: reported[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_the_interval_of_groups_is_wider_than_that_of_rows(
    real_run: Project, held_out: Dataset, probability: Floats
) -> None:
    reported = read(real_run, "evaluation.json")
    assert reported["roc_auc_low"] < reported["roc_auc"] < reported["roc_auc_high"]
    # The loans of one lender stand together, so the rows are worth far fewer of their kind.
    assert reported["effective_groups"] < held_out.rows["lender"].n_unique()
    width = 2 * 1.96 * delong_error(held_out.target, probability)
    assert reported["roc_auc_high"] - reported["roc_auc_low"] > 1.5 * width


def test_every_large_segment_is_reported_with_its_own_metrics(
    real_run: Project, model: Model, held_out: Dataset, probability: Floats, params: Params
) -> None:
    columns = list(params.evaluate.segments)
    rows = held_out.rows.select(columns).to_pandas().fillna("(missing)")
    rows = rows.assign(target=held_out.target, probability=probability, flagged=probability >= model.manifest.cut)
    expected = {}
    for column in columns:
        for value, group in rows.groupby(column):
            if len(group) >= params.evaluate.segment_min_rows:
                auc = sk.roc_auc_score(group["target"], group["probability"])
                ratio = group["target"].mean() / group["probability"].mean()
                expected[column, value] = pytest.approx((len(group), auc, group["flagged"].mean(), ratio), abs=1e-6)
    reported = read(real_run, "segments.json")["segments"]
    names = ("rows", "roc_auc", "flagged_share", "observed_expected")
    assert {(s["segment"], s["value"]): tuple(s[name] for name in names) for s in reported} == expected


def test_one_rehearsal_fitted_again_gives_the_scores_that_chose(real_run: Project, params: Params) -> None:
    data = part(real_run, "at_split/labelled")
    when = data.rows["approval_date"]
    # Known on 2002-01-01, and approved at most 24 months before.
    learned = data.only(when.is_between(date(1998, 1, 1), date(2000, 1, 1)).to_numpy())
    tested = data.only((when.dt.year() == 2002).to_numpy())
    pipeline = build_pipeline(params.train, data.features)
    # Two threads that share busy processors take many times as long as one.
    with threadpool_limits(1):
        pipeline.fit(learned.frame, learned.target)
    scores = pl.read_parquet(real_run.folder / "models/train/choosing_scores.parquet")
    assert scores["rehearsal"].unique(maintain_order=True).to_list() == [f"{year}-01-01" for year in range(2002, 2006)]
    first = scores.filter(pl.col("rehearsal") == "2002-01-01")
    assert first["(target)"].to_list() == tested.target.tolist()
    again = pipeline.predict_proba(tested.frame)[:, 1]
    np.testing.assert_array_equal(first["probability"].to_numpy(), again)
    aucs = [
        sk.roc_auc_score(rows["(target)"].to_numpy(), rows["probability"].to_numpy())
        for rows in scores.partition_by("rehearsal")
    ]
    assert read(real_run, "training.json")["roc_auc"] == pytest.approx(np.mean(aucs), abs=1e-6)


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
    assert rankdata(observed).tolist() == pytest.approx(list(range(1, len(observed) + 1)), abs=2)
    assert observed.iloc[-1] > 3 * observed.iloc[0]
