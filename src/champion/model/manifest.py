"""What a model file says besides the fitted pipeline: how to read a row, and when to call it positive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self

from champion.core.values import finite
from champion.model.calibration import Calibration
from champion.table.features import Feature, describe_features, parse_features
from champion.table.rows import mistakes
from champion.table.text_form import PLAIN, TextForm, describe_form


@dataclass(frozen=True)
class Manifest:
    """What prediction needs besides the pipeline.

    `base_rate` is the share of positives in training. A row is called positive when its probability is at least `cut`.
    `exclusions` are the rules for rows that the model was not made for. `made` is the date whose knowledge it has.
    `reference` is a typical row of training by name, with which reasons compare; None in a file of before this was
    written. `form` is how the texts of the table are written, and so those of a CSV file to score.
    """

    features: list[Feature]
    base_rate: float
    cut: float
    calibration: Calibration | None = None
    exclusions: Mapping[str, Any] = field(default_factory=dict)
    made: str | None = None
    reference: Mapping[str, Any] | None = None
    form: TextForm = PLAIN

    @classmethod
    def parse(cls, described: Mapping[str, Any]) -> Self:
        """The manifest that `describe` wrote. Raises a `ValueError` for anything else."""
        base_rate = finite(described["base_rate"])
        # Older models have no cut of their own: they called a row positive from the base rate up.
        cut, calibration = finite(described.get("cut", base_rate)), described.get("calibration")
        if base_rate is None or not 0 <= base_rate <= 1 or cut is None:
            raise ValueError("its base rate is no probability, or its cut no number")
        features, made = parse_features(described["features"]), described.get("made")
        return cls(
            features,
            base_rate,
            cut,
            None if calibration is None else Calibration.parse(calibration),
            dict(described.get("exclusions", {})),
            None if made is None else str(date.fromisoformat(made)),
            _parse_reference(described.get("reference"), features),
            TextForm.model_validate(described.get("form", {})),
        )

    def describe(self) -> dict[str, Any]:
        """The manifest as JSON."""
        form = describe_form(self.form)
        return {
            "features": describe_features(self.features),
            "base_rate": self.base_rate,
            "cut": self.cut,
            "calibration": None if self.calibration is None else self.calibration.describe(),
            "exclusions": dict(self.exclusions),
            "made": self.made,
            "reference": None if self.reference is None else dict(self.reference),
            **({"form": form} if form else {}),
        }


def _parse_reference(described: Any, features: Sequence[Feature]) -> dict[str, Any] | None:
    if described is None:
        return None
    if not isinstance(described, Mapping) or mistakes(described, features):
        raise ValueError("its reference row is no row of its features")
    return {feature.name: described[feature.name] for feature in features}
