"""A model in use: probabilities for rows, and the rule that calls a row positive."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from champion.model.manifest import Manifest
from champion.table.features import Feature, to_frame
from champion.table.rows import to_row_frame

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Model:
    """A fitted pipeline with its manifest."""

    pipeline: "Pipeline"
    manifest: Manifest

    @property
    def features(self) -> list[Feature]:
        """The columns that the model reads."""
        return self.manifest.features

    def predict(self, rows: "pl.DataFrame | pd.DataFrame") -> NDArray[np.float64]:
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

    def _probabilities(self, frame: "pd.DataFrame") -> NDArray[np.float64]:
        if frame.empty:
            return np.empty(0)
        probabilities: NDArray[np.float64] = self.pipeline.predict_proba(frame)[:, 1]
        calibration = self.manifest.calibration
        return probabilities if calibration is None else calibration.apply(probabilities)


def is_positive(probability: NDArray[np.float64], cut: float) -> NDArray[np.bool_]:
    """Which rows are called positive: those whose probability is at least the cut."""
    called: NDArray[np.bool_] = probability >= cut
    return called
