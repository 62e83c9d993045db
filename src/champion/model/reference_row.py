"""A typical row, with which the reasons of an answer compare."""

from typing import Any

import polars as pl

from champion.table.dataset import Dataset
from champion.table.features import Feature, treat


def typical_row(data: Dataset) -> dict[str, Any]:
    """A value of each feature that rows have, as Python values by name, for `RowReader`.

    Of a number it is the median of the values that are there (of two in the middle the lower one, so that a whole
    number stays one), of a category the most frequent (of equally frequent ones the first of the alphabet). It is None
    where most rows have none.
    """
    treated = treat(data.rows, data.features)
    return {feature.name: _typical(treated[feature.name], feature) for feature in data.features}


def _typical(column: pl.Series, feature: Feature) -> Any:
    given = column.drop_nulls()
    if given.is_empty() or 2 * given.len() < column.len():
        return None
    if feature.kind == "category":
        return given.mode().min()
    median = given.quantile(0.5, "lower")
    # A treated column has a float for any number.
    return {"boolean": bool, "integer": int, "number": float}[feature.type](median)
