"""The sections of params.yaml that evaluate reads."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from champion.core.strict_yaml import Section, Sections, in_order
from champion.model.decision import Decision

_LOWER, _UPPER = ("min", "above"), ("max", "below")


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
    """The bounds of one metric. A value equal to `min` or `max` passes; one equal to `above` or `below` does not."""

    min: float | None = None
    above: float | None = None
    max: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        lower, upper = ([end for end in ends if getattr(self, end) is not None] for ends in (_LOWER, _UPPER))
        if not lower + upper:
            raise ValueError("give a lower bound (`min` or `above`), an upper one (`max` or `below`), or both")
        for ends in (lower, upper):
            if len(ends) > 1:
                raise ValueError(f"give `{ends[0]}` or `{ends[1]}`, not both")
        if lower and upper:
            in_order((getattr(self, lower[0]), getattr(self, upper[0])), lower[0])
        return self


class EvaluateParams(Sections):
    """The sections of params.yaml that evaluate reads."""

    decision: Decision
    evaluate: Evaluate
    gates: dict[str, Gate]
