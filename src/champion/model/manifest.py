"""What a model file says besides the fitted pipeline: how to read a row, and when to call it positive."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self

from champion.core.values import finite
from champion.model.calibration import Calibration
from champion.table.features import Feature, describe_features, parse_features


@dataclass(frozen=True)
class Manifest:
    """What prediction needs besides the pipeline.

    `base_rate` is the share of positives in training. A row is called positive when its probability is at least `cut`.
    `exclusions` are the rules for rows that the model was not made for. `made` is the date whose knowledge it has.
    """

    features: list[Feature]
    base_rate: float
    cut: float
    calibration: Calibration | None = None
    exclusions: Mapping[str, Any] = field(default_factory=dict)
    made: str | None = None

    @classmethod
    def parse(cls, described: Mapping[str, Any]) -> Self:
        """The manifest that `describe` wrote. Raises a `ValueError` for anything else."""
        base_rate = finite(described["base_rate"])
        # Older models have no cut of their own: they called a row positive from the base rate up.
        cut, calibration = finite(described.get("cut", base_rate)), described.get("calibration")
        if base_rate is None or not 0 <= base_rate <= 1 or cut is None:
            raise ValueError("its base rate is no probability, or its cut no number")
        made = described.get("made")
        return cls(
            parse_features(described["features"]),
            base_rate,
            cut,
            None if calibration is None else Calibration.parse(calibration),
            dict(described.get("exclusions", {})),
            None if made is None else str(date.fromisoformat(made)),
        )

    def describe(self) -> dict[str, Any]:
        """The manifest as JSON."""
        return {
            "features": describe_features(self.features),
            "base_rate": self.base_rate,
            "cut": self.cut,
            "calibration": None if self.calibration is None else self.calibration.describe(),
            "exclusions": dict(self.exclusions),
            "made": self.made,
        }
