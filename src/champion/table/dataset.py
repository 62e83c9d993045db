"""Prepared rows as a model sees them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from champion.core.files import read_json, read_parquet
from champion.table.columns import TARGET


@dataclass(frozen=True)
class Feature:
    """A model's input column: `number` (integers and booleans too) as float64, `category` as text."""

    name: str
    kind: str


@dataclass(frozen=True)
class Dataset:
    """One split: the whole table, its features, and the target as an array of 0 and 1."""

    rows: pl.DataFrame
    features: list[Feature]

    @property
    def frame(self) -> pd.DataFrame:
        """Features as a pandas frame, one column each; missing is NaN."""
        return to_frame(self.rows, self.features)

    @property
    def target(self) -> NDArray[np.int8]:
        """The label, shape (rows,)."""
        return self.rows[TARGET].to_numpy()


def read_split(folder: Path, name: str) -> Dataset:
    """A split that prepare wrote. Raises `UserError` when a file is missing or unreadable."""
    return Dataset(read_parquet(folder / f"{name}.parquet"), features_of(read_json(folder / "schema.json")))


def features_of(schema: dict[str, Any]) -> list[Feature]:
    """The features that prepare's schema.json declares, in order."""
    return [
        Feature(feature["name"], "category" if feature["type"] == "category" else "number")
        for feature in schema["features"]
    ]


def to_frame(rows: pl.DataFrame, features: list[Feature]) -> pd.DataFrame:
    """The features' columns as pandas: float64 with NaN, or Python text with NaN."""
    columns: dict[str, Any] = {}
    for feature in features:
        column = rows[feature.name]
        if feature.kind == "category":
            columns[feature.name] = column.to_pandas().astype(object)
        else:
            columns[feature.name] = column.cast(pl.Float64).to_numpy()
    return pd.DataFrame(columns)
