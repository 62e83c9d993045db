"""A model in use: probabilities for rows, and the rule that calls a row positive."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from champion.core.errors import UserError
from champion.table.dataset import Feature, to_frame

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Model:
    """A fitted pipeline with what is needed to use it: its features and the share of positives in training."""

    pipeline: "Pipeline"
    features: list[Feature]
    base_rate: float

    def predict(self, rows: pl.DataFrame | pd.DataFrame) -> NDArray[np.float64]:
        """Probability of the positive class, shape (rows,). Columns are taken by name; others are ignored.

        Raises `UserError` naming a feature that the rows lack.
        """
        missing = [feature.name for feature in self.features if feature.name not in rows.columns]
        if missing:
            raise UserError(f"the column {missing[0]!r}, which the model needs, is missing. Add it.")
        frame = to_frame(rows, self.features) if isinstance(rows, pl.DataFrame) else rows
        probabilities: NDArray[np.float64] = self.pipeline.predict_proba(frame)[:, 1]
        return probabilities

    def threshold(self, rule: float | Literal["base_rate"]) -> float:
        """The probability from which a row is called positive: the rule's own, or the training share."""
        return self.base_rate if rule == "base_rate" else rule
