"""The drift reference: what monitoring compares new rows and their scores with."""

from typing import Any

import polars as pl

from champion.core.values import DECIMALS
from champion.model.bootstrap import Scores
from champion.model.distribution import ColumnReference
from champion.table.dataset import Dataset


def describe_reference(data: Dataset, scores: Scores) -> dict[str, Any]:
    """The reference that these rows and the model's scores are, as JSON.

    `features` and `score` are distributions (`ColumnReference`), each feature's with its `type`. Scores are rounded,
    because processors differ in their last digits. Without rows there is no distribution: `rows` is 0, `features` is
    empty and `score` is None.
    """
    found = [(feature, ColumnReference.of(data.rows[feature.name])) for feature in data.features]
    known = data.rows.height > 0
    return {
        "rows": data.rows.height,
        "features": {one.name: {"type": one.type, **column.describe()} for one, column in found if known},
        "score": ColumnReference.of(pl.Series(scores), DECIMALS).describe() if known else None,
    }
