"""A model in use: probabilities for rows, and the rule that calls a row positive."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from champion.table.features import Feature, to_frame, to_row_frame

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Model:
    """A fitted pipeline with its features and the training base rate (the share of positives)."""

    pipeline: "Pipeline"
    features: list[Feature]
    base_rate: float

    def predict(self, rows: pl.DataFrame | pd.DataFrame) -> NDArray[np.float64]:
        """Probability of the positive class, shape (rows,). Rows are read in the same way as in training.

        Columns are found by name; extra columns are ignored. Raises `UserError` naming a feature that is missing or
        has values of the wrong type.
        """
        return self._probabilities(to_frame(rows, self.features))

    def predict_row(self, values: Mapping[str, Any]) -> float:
        """Probability of the positive class for one row, given as Python values by name: the same as `predict` gives.

        Raises `UserError` in the same cases as `predict`.
        """
        return float(self._probabilities(to_row_frame(values, self.features))[0])

    def threshold(self, rule: float | Literal["base_rate"]) -> float:
        """The lowest probability that is called positive: the number given, or the training base rate."""
        return self.base_rate if rule == "base_rate" else rule

    def _probabilities(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        probabilities: NDArray[np.float64] = self.pipeline.predict_proba(frame)[:, 1]
        return probabilities


def is_positive(probability: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Which rows are called positive: those whose probability is at least the threshold."""
    called: NDArray[np.bool_] = probability >= threshold
    return called
