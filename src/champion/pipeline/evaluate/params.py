"""The sections of params.yaml that evaluate reads."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from champion.core.strict_yaml import Section, Sections, in_order
from champion.model.decision import Decision


class Evaluate(Section):
    """How to score the test rows. `segments` are features or columns with the role segment.

    `population` says who is in the table and who is not, for the model card.
    """

    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0
    segments: tuple[str, ...] = Field(default=(), strict=False)
    population: tuple[str, ...] = Field(default=(), strict=False)
    segment_min_rows: Annotated[int, Field(ge=1)] = 500
    importance_rows: Annotated[int, Field(ge=1)] = 10_000
    importance_repeats: Annotated[int, Field(ge=1)] = 5


class Gate(Section):
    """The bounds of one metric of the test; a value equal to a bound passes."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give `min`, `max` or both")
        in_order((self.min, self.max), "min")
        return self


class EvaluateParams(Sections):
    """The sections of params.yaml that evaluate reads."""

    decision: Decision
    evaluate: Evaluate
    gates: dict[str, Gate]
