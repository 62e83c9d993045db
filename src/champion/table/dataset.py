"""Prepared rows in the form that a model reads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from champion.core.files import read_json, read_parquet
from champion.table.columns import TARGET
from champion.table.features import Feature, parse_features, to_frame


@dataclass(frozen=True)
class Dataset:
    """One split: all its columns, its features, and the target as an array of 0 and 1."""

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
    schema = read_json(folder / "schema.json")
    return Dataset(read_parquet(folder / f"{name}.parquet"), parse_features(schema["features"]))
