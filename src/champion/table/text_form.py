"""How a source writes values as text."""

import re
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from champion.core.strict_yaml import Section

Character = Annotated[str, Field(min_length=1, max_length=1)]
# Each of them is part of a number already.
OF_NUMBERS = "0123456789+-eE"
# The codes of chrono::format::strftime.
_CODE = re.compile(r"%(?:[-_0]?[aAbBcCdDeFfgGhHIjklmMnpPqrRsStTuUvVwWxXyYZz+%]|\.[369]?f|[369]f|:{1,3}z|#z)")


class TextForm(Section):
    """How a source writes values as text.

    `na_values` stand for a missing value, besides the usual words: a text as it is written, a number by its value in
    columns of numbers. `decimal` is the mark before the decimals of a number, `thousands` the one between its groups of
    digits. `date_format` is the form of dates, in the codes of Rust's chrono, if they are not ISO 8601.
    """

    na_values: tuple[str | int | float, ...] = Field(default=(), strict=False)
    decimal: Character = "."
    thousands: Character | None = None
    date_format: Annotated[str, Field(min_length=1)] | None = None

    @field_validator("date_format")
    @classmethod
    def _has_known_codes(cls, date_format: str | None) -> str | None:
        rest = _CODE.sub("", date_format or "")
        if "%" in rest:
            place = rest.index("%")
            raise ValueError(f"`{rest[place : place + 2]}` is no code of a date; `%d.%m.%Y` has three")
        return date_format

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        for name in ("decimal", "thousands"):
            mark = getattr(self, name)
            if mark is not None and mark in OF_NUMBERS:
                raise ValueError(f"`{name}` cannot be {mark!r}, which stands for something else in a number")
        if self.decimal == self.thousands:
            raise ValueError(f"`decimal` and `thousands` cannot both be {self.decimal!r}")
        return self


PLAIN = TextForm()


def describe_form(form: TextForm) -> dict[str, Any]:
    """How features are written, if not as usual, as JSON for `TextForm.model_validate`. No date is a feature."""
    return form.model_dump(mode="json", include={"na_values", "decimal", "thousands"}, exclude_defaults=True)
