"""The sections of params.yaml that prepare reads."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from champion.core.strict_yaml import Section
from champion.table.params import TableParams
from champion.table.window import Months


class Split(Section):
    """How held-out rows are chosen: the last `test_months` of the window, or a seeded stratified `test_share`."""

    strategy: Literal["out_of_time", "stratified"]
    test_months: Months = 12
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: Annotated[int, Field(ge=0)] = 0


class PrepareParams(TableParams):
    """The sections of params.yaml that prepare reads."""

    split: Split

    @model_validator(mode="after")
    def _split_fits_table(self) -> Self:
        if self.split.strategy == "out_of_time" and self.table.only("date") is None:
            raise ValueError("split: out_of_time needs a column with the role date; without one, use stratified")
        return self
