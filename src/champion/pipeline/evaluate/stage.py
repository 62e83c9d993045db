"""Score the model on held-out rows: metrics, segments, plot data and the printed summary."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from champion.core.errors import UserError
from champion.model.bootstrap import Scores
from champion.model.metrics import score_segments, score_with_intervals
from champion.model.model import Model
from champion.pipeline.evaluate import model_card, plots
from champion.pipeline.evaluate.params import Evaluate
from champion.table.dataset import Dataset


def score_model(data: Dataset, probability: Scores, threshold: float, params: Evaluate) -> dict[str, Any]:
    """The held-out metrics, with the number of rows and the threshold."""
    scores = score_with_intervals(data.target, probability, threshold, params.bootstrap_samples, params.seed)
    return {"rows": len(data.target), "threshold": threshold, **scores}


def score_by_segment(data: Dataset, probability: Scores, threshold: float, params: Evaluate) -> dict[str, Any]:
    """Metrics of every large enough segment, and of the `worst` one (lowest ROC AUC), each as a list."""
    rows: list[dict[str, Any]] = []
    for name in params.segments:
        if name not in data.rows.columns:
            raise UserError(
                f"params.yaml: `evaluate.segments` names {name!r}, which is not a feature, id or date. Correct it."
            )
        rows += score_segments(
            data.rows[name],
            data.target,
            probability,
            threshold,
            params.segment_min_rows,
            params.bootstrap_samples,
            params.seed,
        )
    ranked = [row for row in rows if np.isfinite(row["roc_auc"])]
    return {"worst": sorted(ranked, key=lambda row: row["roc_auc"])[:1], "segments": rows}


def permutation_drops(model: Model, data: Dataset, params: Evaluate) -> NDArray[np.float64]:
    """How much ROC AUC falls when one feature's values are shuffled, shape (features, repeats).

    It uses a seeded sample of at most `importance_rows` held-out rows (Breiman 2001, with ROC AUC as the score).
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
    shuffled = frame.assign(**{name: frame[name].to_numpy()[rng.permutation(len(frame))]})
    return float(roc_auc_score(target, model.predict(shuffled)))


def plot_tables(
    model: Model, data: Dataset, probability: Scores, threshold: float, params: Evaluate
) -> dict[str, pl.DataFrame]:
    """The data of each plot, by the name of its file."""
    return {
        "roc": plots.roc(data.target, probability),
        "precision_recall": plots.precision_recall(data.target, probability),
        "calibration": plots.calibration(data.target, probability),
        "confusion": plots.confusion(data.target, probability, threshold),
        "score_distribution": plots.score_distribution(data.target, probability),
        "importance": plots.importance([f.name for f in data.features], permutation_drops(model, data, params)),
    }


def summary(metrics: dict[str, Any], verdicts: dict[str, dict[str, Any]]) -> str:
    """The summary that `dvc repro` prints at its end."""
    lines = [f"held-out rows: {metrics['rows']:,}, {metrics['base_rate']:.2%} positive"]
    for name, title in model_card.SHOWN.items():
        low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        interval = f"  [{low:.4f}, {high:.4f}]" if low is not None and high is not None else ""
        lines.append(
            f"  {title:<43} {metrics[name]:.4f}{interval}" if metrics[name] is not None else f"  {title}: none"
        )
    for name, verdict in sorted(verdicts.items()):
        margin = "no value" if verdict["margin"] is None else f"margin {verdict['margin']:+.4f}"
        lines.append(f"  gate {name:<38} {'pass' if verdict['passed'] else 'FAIL'}  ({margin})")
    return "\n".join(lines)
