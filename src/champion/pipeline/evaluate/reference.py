"""The drift reference: what monitoring compares new rows and their scores with, and some of its rows."""

from typing import Any

import numpy as np
import polars as pl

from champion.core.values import DECIMALS
from champion.model.bootstrap import Scores
from champion.model.distribution import ColumnReference
from champion.table.dataset import Dataset

# A classifier that tells them from newer rows learns little from more.
ROWS = 5_000


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


def sample_rows(data: Dataset) -> pl.DataFrame:
    """At most 5,000 of these rows, evenly taken in their order, with only the features."""
    rows = data.rows.select(feature.name for feature in data.features)
    if rows.height <= ROWS:
        return rows
    return rows[np.linspace(0, rows.height - 1, ROWS).round().astype(np.int64)]
