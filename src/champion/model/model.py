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
    """A fitted pipeline with what is needed to use it: its features and the share of positives in training."""

    pipeline: "Pipeline"
    features: list[Feature]
    base_rate: float

    def predict(self, rows: pl.DataFrame | pd.DataFrame) -> NDArray[np.float64]:
        """Probability of the positive class, shape (rows,), each row treated as in training.

        Columns are taken by name; others are ignored. Raises `UserError` naming a feature that the rows lack, or whose
        values are not of its type.
        """
        return self._probabilities(to_frame(rows, self.features))

    def predict_row(self, values: Mapping[str, Any]) -> float:
        """Probability of the positive class of one row, given as Python values by name: what `predict` answers.

        Raises `UserError` as that does.
        """
        return float(self._probabilities(to_row_frame(values, self.features))[0])

    def threshold(self, rule: float | Literal["base_rate"]) -> float:
        """The probability from which a row is called positive: the rule's own, or the training share."""
        return self.base_rate if rule == "base_rate" else rule

    def _probabilities(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        probabilities: NDArray[np.float64] = self.pipeline.predict_proba(frame)[:, 1]
        return probabilities


def is_positive(probability: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Which rows are called positive: those of a probability of at least the threshold."""
    called: NDArray[np.bool_] = probability >= threshold
    return called
