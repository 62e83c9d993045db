"""The sections of params.yaml that validate reads."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from champion.core.strict_yaml import Section, did_you_mean, in_order
from champion.table.columns import check_known
from champion.table.params import TableParams

Share = Annotated[float, Field(ge=0, le=1)]


class Limits(Section):
    """The share of rows in which one raw column may be missing, and in which it may be invalid."""

    max_missing: Share = 0.0
    max_invalid: Share = 0.0


class Contract(Section):
    """What the data must look like; a breach stops the pipeline, but one of an `unconfirmed` limit only warns.

    `rows` and `max_events_before_start` hold for the ingested table, `class_share` for each prepared part with labels,
    and `leak_auc` for the rows that the judged model learns from. The limits of a column hold for the ingested table;
    in each prepared part, where invalid values are missing, their sum holds. Columns not named have no bad values.
    `unconfirmed` names limits that `champion init` inferred and nobody has confirmed: keys of this section, where
    `columns` stands for all columns and `columns.NAME` for one.
    """

    unconfirmed: tuple[str, ...] = Field(default=(), strict=False)
    rows: tuple[Annotated[int, Field(ge=1)], int | None] = Field(strict=False)
    class_share: tuple[Share, Share] = Field(strict=False)
    leak_auc: Annotated[float, Field(gt=0.5, le=1)]
    max_events_before_start: Share = 0.0
    columns: dict[str, Limits] = Field(default={})

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        in_order(self.rows, "rows")
        in_order(self.class_share, "class_share")
        return self

    @field_validator("unconfirmed")
    @classmethod
    def _are_limits(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = [name for name in cls.model_fields if name != "unconfirmed"]
        for name in names:
            if name not in known and not name.startswith("columns."):
                raise ValueError(f"{name!r} is no limit of the contract{did_you_mean(name, known)}")
        return names


class ValidateParams(TableParams):
    """The sections of params.yaml that validate reads."""

    contract: Contract

    @model_validator(mode="after")
    def _contract_names_columns(self) -> Self:
        check_known(self.contract.columns, self.columns, "contract.columns")
        unconfirmed = [name.removeprefix("columns.") for name in self.contract.unconfirmed if "." in name]
        check_known(unconfirmed, self.columns, "contract.unconfirmed.columns")
        return self
