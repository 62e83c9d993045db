"""The proof that an ONNX file answers as the model does."""

import math
from typing import Any

import numpy as np
import polars as pl

from champion.core.errors import UserError
from champion.model.model import Model, is_positive
from champion.model.onnx_scorer import TOLERANCE, OnnxScorer
from champion.table.features import Feature

SAMPLE = 50


def prove(model: Model, scorer: OnnxScorer, rows: pl.DataFrame) -> dict[str, Any]:
    """How far the answers differ on these rows, and on a sample of them with odd values in each column.

    `label_flips` are rows of which only one of both is positive. Raises `UserError` when an answer differs by more than
    `TOLERANCE`, or the manifests differ.
    """
    odd = _with_odd_values(rows, model.features)
    differences, flips = [], 0
    for table in (rows, odd):
        expected, found = model.predict(table), scorer.predict(table)
        differences.append(np.abs(found - expected).max(initial=0.0))
        flips += int((is_positive(found, model.manifest.cut) != is_positive(expected, model.manifest.cut)).sum())
    # The maximum is NaN when an answer is, which is no tolerable difference.
    largest = float(np.max(differences))
    if not largest <= TOLERANCE or scorer.manifest != model.manifest:
        raise UserError(
            f"the ONNX file answers otherwise than the model: by up to {largest:g}, but only {TOLERANCE:g} is allowed. "
            "This is an error of champion: report it, and choose another `train.estimator` or `train.calibration`."
        )
    return {"rows": rows.height, "odd_rows": odd.height, "largest_difference": largest, "label_flips": flips}


def _with_odd_values(rows: pl.DataFrame, features: list[Feature]) -> pl.DataFrame:
    """A sample of the rows, once for each feature and each odd value, and once with every value missing."""
    sample = rows.select(feature.name for feature in features).gather_every(max(rows.height // SAMPLE, 1)).head(SAMPLE)
    # Odd numbers fit in no integer column.
    wide = {feature.name: pl.String if feature.kind == "category" else pl.Float64 for feature in features}
    sample = sample.cast(wide)  # type: ignore[arg-type]
    tables = [
        sample.with_columns(pl.lit(value, wide[feature.name]).alias(feature.name))
        for feature in features
        for value in _odd_values(feature)
    ]
    return pl.concat([*tables, sample.with_columns(pl.lit(None, of).alias(name) for name, of in wide.items()).head(1)])


def _odd_values(feature: Feature) -> list[Any]:
    """Missing, unseen and invalid values of the feature's type."""
    if feature.kind == "category":
        return [None, "", "nan", "no such value"]
    if feature.type == "boolean":
        return [None, 0.0, 1.0]
    ends = [end for end in feature.range or () if end is not None]
    beyond = [end + step for end in ends for step in (-1, 0, 1)]
    return [None, math.inf, -math.inf, 0.0, -1.0, 1e15, *beyond]
