"""A single row, as a model reads it: the same as `features.treat` gives for a table of only that row."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from champion.core.errors import UserError
from champion.table.features import EXPECTED, LARGEST, Feature, missing, wrong_type

if TYPE_CHECKING:
    import pandas as pd


_PLAIN = {(str, "category"), (float, "number"), (int, "number"), (int, "integer"), (bool, "boolean")}


class RowReader:
    """Reads single rows, given as Python values by name. Make one for many rows, as a server has little time."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._columns = [_Reading.of(feature) for feature in features]

    def read(self, values: Mapping[str, Any]) -> dict[str, float | str]:
        """The row as a model reads it: equal to `to_frame` of a one-row table, with NaN for missing.

        Raises `UserError` in the same cases as `treat`.
        """
        row: dict[str, float | str] = {}
        for name, type_, allowed, low, high, feature in self._columns:
            try:
                value = values[name]
            except KeyError:
                raise missing(feature) from None
            # Most values are of these types. For all others, more questions must be asked.
            if value is not None and (type(value), type_) not in _PLAIN:
                value = _typed_value(value, feature)
            if type(value) is str:
                row[name] = value if allowed is None or value in allowed else math.nan
            else:
                # NaN is within no bounds.
                row[name] = float(value) if value is not None and low <= value <= high else math.nan
        return row


class _Reading(NamedTuple):
    """What is asked of a feature's value, without the time that its own attributes take."""

    name: str
    type: str
    allowed: frozenset[str] | None
    low: float
    high: float
    feature: Feature

    @classmethod
    def of(cls, feature: Feature) -> "_Reading":
        allowed = None if feature.values is None else frozenset(feature.values)
        low, high = feature.range or (None, None)
        # A number beyond single precision is missing, whatever its range.
        low, high = max(-LARGEST if low is None else low, -LARGEST), min(LARGEST if high is None else high, LARGEST)
        return cls(feature.name, feature.type, allowed, low, high, feature)


def to_row(values: Mapping[str, Any], features: Sequence[Feature]) -> dict[str, float | str]:
    """One row as a `RowReader` of these features reads it."""
    return RowReader(features).read(values)


def to_row_frame(values: Mapping[str, Any], features: Sequence[Feature]) -> "pd.DataFrame":
    """What `to_frame` makes of a table of that one row. Raises `UserError` as that does."""
    import pandas as pd

    row = to_row(values, features)
    # Of text or a missing one alone, pandas would make a type of its own.
    types = {feature.name: object if feature.kind == "category" else np.float64 for feature in features}
    return pd.DataFrame({name: pd.Series([value], dtype=types[name]) for name, value in row.items()})


def mistakes(values: Mapping[str, Any], features: Sequence[Feature]) -> dict[str, str]:
    """What is wrong by name of the feature, for which `to_row` raises an error; empty for a valid row."""
    found = {}
    for feature in features:
        if feature.name not in values:
            found[feature.name] = "is missing; give null for a missing value"
            continue
        try:
            _typed_value(values[feature.name], feature)
        except UserError:
            found[feature.name] = f"is not {EXPECTED[feature.type]}"
    return found


def _typed_value(value: Any, feature: Feature) -> float | str | None:
    """The value as a number or text, with None for missing."""
    if value is None or (isinstance(value, Real) and _is_nan(value)):
        return None
    truth = isinstance(value, bool | np.bool_)
    match feature.type:
        case "category" if isinstance(value, str):
            return value
        case "category" if truth:
            return "true" if value else "false"
        case "category" if isinstance(value, Integral):
            return str(int(value))
        case "boolean" if truth or (isinstance(value, Real) and value in (0, 1)):
            return float(value)
        case "integer" | "number" if isinstance(value, Real) and not truth:
            try:
                number = float(value)
            except OverflowError:
                return None
            if not abs(number) <= LARGEST:
                return None
            if feature.type == "number" or number.is_integer():
                return number
    raise wrong_type(feature)


def _is_nan(value: Real) -> bool:
    try:
        return math.isnan(value)
    except OverflowError:
        # An integer beyond all floats.
        return False
