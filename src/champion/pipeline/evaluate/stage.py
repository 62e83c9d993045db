"""Score the judged model on the test rows: metrics, segments, stability, plot data and the printed summary."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from champion.core.errors import UserError
from champion.core.strict_yaml import did_you_mean
from champion.model.bootstrap import Resamples, Scores
from champion.model.intervals import prediction_interval
from champion.model.metrics import score, score_segments, score_with_intervals
from champion.model.model import Model
from champion.model.scores import CHOSE, KNOWN_RATE, REHEARSED_AT, SCORE
from champion.model.stability import psi
from champion.pipeline.evaluate import model_card, plots
from champion.pipeline.evaluate.params import Evaluate
from champion.table.columns import TARGET
from champion.table.dataset import Dataset


def score_test(model: Model, test: Dataset, probability: Scores, resamples: Resamples) -> dict[str, Any]:
    """The metrics of the test rows, with the number of rows, the cut and the effective number of groups."""
    manifest = model.manifest
    scores = score_with_intervals(test.target, probability, manifest.cut, manifest.base_rate, resamples)
    return {"rows": len(test.target), "cut": manifest.cut, "effective_groups": resamples.effective, **scores}


def describe_rehearsals(scores: pl.DataFrame) -> list[dict[str, Any]]:
    """How the recipe did in each rehearsal before the test, oldest first."""
    described = []
    for rows in scores.partition_by(REHEARSED_AT, maintain_order=True):
        found = score(rows[TARGET].to_numpy(), rows[SCORE].to_numpy(), 1.0, rows[KNOWN_RATE][0])
        shown = {name: found[name] for name in ("roc_auc", "brier_skill", "mean_probability", "base_rate")}
        described.append({name: rows[name][0] for name in (REHEARSED_AT, CHOSE)} | {"rows": rows.height} | shown)
    return described


def expect(rehearsals: list[dict[str, Any]]) -> dict[str, float | None]:
    """Mean and prediction interval of ROC AUC and Brier skill for one more such test; None if there are too few.

    The interval ends where the metric does: the normal distribution would go on.
    """
    expected: dict[str, float | None] = {}
    for name, lowest in (("roc_auc", 0.0), ("brier_skill", -np.inf)):
        values = [one[name] for one in rehearsals]
        ends = prediction_interval(values)
        expected[f"rehearsed_{name}"] = float(np.mean(values)) if values else None
        for end, value in zip(("low", "high"), ends or (None, None), strict=True):
            expected[f"rehearsed_{name}_{end}"] = None if value is None else float(np.clip(value, lowest, 1))
    return expected


def measure_stability(reference: Dataset, test: Dataset, before: Scores, after: Scores) -> list[dict[str, Any]]:
    """The PSI of the score and of each feature, from the rows that were newest when the model was made to the test."""
    table = [{"column": "(score)", "psi": psi(pl.Series(before), pl.Series(after))}]
    for feature in test.features:
        table.append({"column": feature.name, "psi": psi(reference.rows[feature.name], test.rows[feature.name])})
    return table


def score_by_segment(
    test: Dataset, probability: Scores, cut: float, params: Evaluate, resamples: Resamples
) -> dict[str, Any]:
    """Metrics of every large enough segment, and of the `worst` one (lowest ROC AUC), each as a list."""
    known = [*(feature.name for feature in test.features), *test.schema.segments]
    rows: list[dict[str, Any]] = []
    for name in params.segments:
        if name not in known:
            raise UserError(
                f"params.yaml: `evaluate.segments` names {name!r}, which is no feature and has not the role segment"
                f"{did_you_mean(name, known)}. Correct it."
            )
        rows += score_segments(test.rows[name], test.target, probability, cut, params.segment_min_rows, resamples)
    ranked = [row for row in rows if np.isfinite(row["roc_auc"])]
    return {"worst": sorted(ranked, key=lambda row: row["roc_auc"])[:1], "segments": rows}


def permutation_drops(model: Model, data: Dataset, params: Evaluate) -> NDArray[np.float64]:
    """How much ROC AUC falls when one feature's values are shuffled, shape (features, repeats).

    It uses a seeded sample of at most `importance_rows` test rows (Breiman 2001, with ROC AUC as the score).
    """
    rng = np.random.default_rng(params.seed)
    chosen = np.sort(rng.permutation(len(data.target))[: params.importance_rows])
    frame, target = data.frame.iloc[chosen], data.target[chosen]
    if len(np.unique(target)) < 2:
        return np.full((len(data.features), params.importance_repeats), np.nan)
    whole = roc_auc_score(target, model.predict(frame))
    return np.array(
        [
            [whole - _shuffled_auc(model, frame, target, feature.name, rng) for _ in range(params.importance_repeats)]
            for feature in data.features
        ]
    )


def _shuffled_auc(
    model: Model, frame: pd.DataFrame, target: NDArray[np.int8], name: str, rng: np.random.Generator
) -> float:
    shuffled = frame.copy(deep=False)
    shuffled[name] = frame[name].to_numpy()[rng.permutation(len(frame))]
    return float(roc_auc_score(target, model.predict(shuffled)))


def plot_tables(
    model: Model, data: Dataset, probability: Scores, rehearsed: list[dict[str, Any]], params: Evaluate
) -> dict[str, pl.DataFrame]:
    """The data of each plot, by the name of its file."""
    return {
        "rehearsals": plots.rehearsals(rehearsed),
        "roc": plots.roc(data.target, probability),
        "precision_recall": plots.precision_recall(data.target, probability),
        "calibration": plots.calibration(data.target, probability),
        "confusion": plots.confusion(data.target, probability, model.manifest.cut),
        "score_distribution": plots.score_distribution(data.target, probability),
        "importance": plots.importance([f.name for f in data.features], permutation_drops(model, data, params)),
    }


def summary(metrics: dict[str, Any], verdicts: dict[str, dict[str, Any]]) -> str:
    """The summary that `dvc repro` prints near its end."""
    lines = [f"test: {metrics['rows']:,} rows, {metrics['base_rate']:.2%} positive"]
    for name, title in model_card.SHOWN.items():
        low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        interval = f"  [{low:.4f}, {high:.4f}]" if low is not None and high is not None else ""
        lines.append(
            f"  {title:<43} {metrics[name]:.4f}{interval}" if metrics[name] is not None else f"  {title}: none"
        )
    for name, verdict in sorted(verdicts.items()):
        margin = "no value" if verdict["margin"] is None else f"margin {verdict['margin']:+.4f}"
        source = "" if verdict["source"] == name else f" of {verdict['source']}"
        lines.append(f"  gate {name:<38} {'pass' if verdict['passed'] else 'FAIL'}  ({margin}{source})")
    return "\n".join(lines)
