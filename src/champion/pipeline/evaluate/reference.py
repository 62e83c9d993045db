"""The drift reference: what monitoring compares new rows and their scores with, and a usual row."""

from typing import Any

import polars as pl

from champion.core.values import DECIMALS
from champion.model.bootstrap import Scores
from champion.model.distribution import ColumnReference
from champion.table.dataset import Dataset
from champion.table.features import Feature


def describe_reference(data: Dataset, scores: Scores) -> dict[str, Any]:
    """The reference that these rows and the model's scores are, as JSON.

    `features` and `score` are distributions (`ColumnReference`), each feature's with its `type`. Scores are rounded,
    because processors differ in their last digits. `row` has the usual value of each feature; None if all are missing.
    Without rows there is no distribution: `rows` is 0, `features` is empty and `score` is None.
    """
    found = [(feature, ColumnReference.of(data.rows[feature.name])) for feature in data.features]
    known = data.rows.height > 0
    return {
        "rows": data.rows.height,
        "features": {one.name: {"type": one.type, **column.describe()} for one, column in found if known},
        "score": ColumnReference.of(pl.Series(scores), DECIMALS).describe() if known else None,
        "row": {feature.name: _usual(feature, column) for feature, column in found},
    }


def _usual(feature: Feature, column: ColumnReference) -> float | int | str | None:
    """The median of a number, 0 or 1 of a boolean, and the commonest value of a category."""
    if column.quantiles is not None:
        median = column.quantiles["0.5"]
        return int(median) if median is not None and feature.type == "integer" else median
    commonest = next(iter(column.values or ()), None)
    # The median of a boolean is its commonest value, too.
    return int(commonest == "true") if commonest is not None and feature.type == "boolean" else commonest
