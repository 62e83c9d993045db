"""The sections of replay/params.yaml, and of the repository's params.yaml, that the replay reads."""

from typing import Annotated, Literal

from pydantic import Field

from champion.core.strict_yaml import Section, Sections
from champion.table.window import AsOf, PositiveLength

# The length of a quarter, in months.
QUARTER = 3


class Dates(Sections):
    """When models are made, and the day by which labels count."""

    quarters: Annotated[list[AsOf], Field(min_length=1)]
    until: AsOf


class Judging(Dates):
    """The date of the first version, and the resamples of an interval."""

    first: AsOf
    samples: Annotated[int, Field(ge=100, le=100_000)]


class Policy(Section):
    """When to train, and what a training must do to be deployed.

    `age` is that of the last training at which the next one is due. `measured` says whether performance, drift and
    volume can be due too. The challenge: `superiority` must win, `refresh` must not lose, `none` is not held.
    """

    age: PositiveLength | None
    measured: bool
    challenge: Literal["superiority", "refresh", "none"]


class ReplayParams(Judging):
    """Every section of replay/params.yaml. `approval_rate` is the share of a quarter's rows that is accepted."""

    approval_rate: Annotated[float, Field(gt=0, lt=1)]
    policies: dict[str, Policy]
