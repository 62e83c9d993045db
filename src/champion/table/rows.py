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


# The Python types that most values have. For a value of another type, more questions must be asked.
_PLAIN = {
    "category": frozenset({str}),
    "number": frozenset({float, int}),
    "integer": frozenset({int}),
    "boolean": frozenset({bool}),
}


class ReadRow(NamedTuple):
    """A row as a model reads it: its numbers with NaN for missing, and its texts with None, in the features' order.

    `invalid` names the values that were given, and are as good as missing.
    """

    numbers: list[float]
    texts: list[str | None]
    invalid: list[str]


class RowReader:
    """Reads single rows, given as Python values by name. Make one for many rows, as a server has little time."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._columns = [_Reading.of(feature) for feature in features]
        # The same in the order and with the parts that a row of nothing unusual needs.
        self._numbers = [(one.name, one.plain, one.low, one.high) for one in self._columns if not one.is_text]
        self._texts = [(one.name, one.allowed) for one in self._columns if one.is_text]

    def read(self, values: Mapping[str, Any]) -> ReadRow:
        """The row, equal to `to_frame` of a table of only that row. Raises `UserError` in the same cases as `treat`."""
        return self._read_usual(values) or self._read_any(values)

    def _read_usual(self, values: Mapping[str, Any]) -> ReadRow | None:
        """A row in which each value is missing or valid, as in most; None for another. It takes a third of the time."""
        numbers: list[float] = []
        texts: list[str | None] = []
        try:
            for name, plain, low, high in self._numbers:
                value = values[name]
                if value is None:
                    numbers.append(math.nan)
                elif type(value) in plain and low <= value <= high:
                    numbers.append(float(value))
                else:
                    return None
            for name, allowed in self._texts:
                value = values[name]
                if value is not None and (type(value) is not str or (allowed is not None and value not in allowed)):
                    return None
                texts.append(value)
        except KeyError:
            return None
        return ReadRow(numbers, texts, [])

    def _read_any(self, values: Mapping[str, Any]) -> ReadRow:
        numbers: list[float] = []
        texts: list[str | None] = []
        invalid: list[str] = []
        for name, is_text, plain, allowed, low, high, feature in self._columns:
            try:
                value = values[name]
            except KeyError:
                raise missing(feature) from None
            if value is not None and type(value) not in plain:
                value = _typed_value(value, feature)
            if is_text:
                valid = value is not None and (allowed is None or value in allowed)
                texts.append(value if valid else None)
            else:
                # NaN is within no bounds.
                valid = value is not None and low <= value <= high
                numbers.append(float(value) if valid else math.nan)
            if not valid and _is_given(values[name]):
                invalid.append(name)
        return ReadRow(numbers, texts, invalid)


class _Reading(NamedTuple):
    """What is asked of a feature's value, without the time that its own attributes take."""

    name: str
    is_text: bool
    plain: frozenset[type]
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
        return cls(feature.name, feature.kind == "category", _PLAIN[feature.type], allowed, low, high, feature)


def to_row(values: Mapping[str, Any], features: Sequence[Feature]) -> dict[str, float | str]:
    """One row as a `RowReader` of these features reads it, by name, with NaN for missing."""
    read = RowReader(features).read(values)
    numbers, texts = iter(read.numbers), (math.nan if text is None else text for text in read.texts)
    return {feature.name: next(texts) if feature.kind == "category" else next(numbers) for feature in features}


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
    if not _is_given(value):
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


def _is_given(value: Any) -> bool:
    """Whether a value that a model reads as missing was given: it is neither None nor NaN."""
    return value is not None and not (isinstance(value, Real) and _is_nan(value))


def _is_nan(value: Real) -> bool:
    try:
        return math.isnan(value)
    except OverflowError:
        # An integer beyond all floats.
        return False
