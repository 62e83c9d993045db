"""A model's input columns, and how a model reads them in a whole table; `rows` reads a single row in the same way.

A valid value stays a number or text. An invalid or infinite value becomes missing, and so does a number that single
precision cannot hold, which no forest reads. A value that does not have the declared type is an error.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from champion.core.errors import UserError
from champion.table.columns import Column, Columns, ColumnType

if TYPE_CHECKING:
    import pandas as pd

LARGEST = float(np.finfo(np.float32).max)
EXPECTED = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false, or 1 or 0",
    "category": "text",
}


class Feature(Column):
    """A model's input column with its type, and with `values` or `range` if not all values are valid."""

    name: str

    @property
    def kind(self) -> Literal["number", "category"]:
        """How a model reads the column: `number` (also integers and booleans) as float64, `category` as text."""
        return "category" if self.type == "category" else "number"


def features_of(columns: Columns) -> list[Feature]:
    """The columns that models see, in order."""
    return [Feature(name=name, **columns[name].model_dump()) for name in columns.features]


def describe_features(features: Iterable[Feature]) -> list[dict[str, Any]]:
    """The features as JSON, for `parse_features`."""
    return [feature.model_dump(mode="json", exclude={"role", "feature"}, exclude_none=True) for feature in features]


def parse_features(described: Iterable[Mapping[str, Any]]) -> list[Feature]:
    """The features that `describe_features` wrote. Raises a `ValueError` for anything else."""
    return [Feature.model_validate(feature) for feature in described]


def empty_invalid(table: pl.DataFrame, features: Iterable[Feature]) -> pl.DataFrame:
    """The table, with every invalid value of a feature set to missing."""
    emptied = []
    for feature in features:
        invalid = is_invalid(feature, pl.col(feature.name))
        if invalid is not None:
            emptied.append(pl.when(~invalid).then(pl.col(feature.name)).alias(feature.name))
    return table.with_columns(emptied)


def is_invalid(spec: Column, value: pl.Expr) -> pl.Expr | None:
    """True where a value lies outside the column's `values` or `range`; None when it declares neither."""
    if spec.values is not None:
        return ~value.is_in(spec.values)
    if spec.range is not None:
        low, high = spec.range
        return (value < low if low is not None else pl.lit(False)) | (
            value > high if high is not None else pl.lit(False)
        )
    return None


def accepts(column_type: ColumnType, found: pl.DataType) -> bool:
    """Whether a column of that Polars type can hold values of the declared type; nulls alone are of any type."""
    if found == pl.Null:
        return True
    match column_type:
        case "category":
            return found.is_integer() or found in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)
        case "boolean":
            return found == pl.Boolean or found.is_numeric()
        case "integer" | "number":
            return found.is_numeric()
        case "date":
            return found == pl.Date


def treat(rows: "pl.DataFrame | pd.DataFrame", features: list[Feature]) -> pl.DataFrame:
    """The rows as a model reads them: one column per feature, as Float64 or String, with null for missing.

    Columns are found by name; extra columns are ignored. Raises `UserError` naming a feature that is missing or has
    values of the wrong type.
    """
    for feature in features:
        if feature.name not in rows.columns:
            raise missing(feature)
    return empty_invalid(pl.DataFrame([_typed(rows[feature.name], feature) for feature in features]), features)


def to_frame(rows: "pl.DataFrame | pd.DataFrame", features: list[Feature]) -> "pd.DataFrame":
    """What `treat` gives, as scikit-learn reads it: float64 or Python text, with NaN for missing."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for feature, column in zip(features, treat(rows, features), strict=True):
        as_text = feature.kind == "category"
        columns[feature.name] = column.to_pandas().astype(object) if as_text else column.to_numpy()
    return pd.DataFrame(columns)


def _typed(column: "pl.Series | pd.Series[Any]", feature: Feature) -> pl.Series:
    """The column as Float64 or String, with null for missing."""
    try:
        found = column if isinstance(column, pl.Series) else pl.from_pandas(column)
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        # The column holds Python objects of several types.
        raise wrong_type(feature) from None
    if found.dtype.is_float():
        found = found.fill_nan(None)
    if found.null_count() == len(found):
        return pl.Series(feature.name, [None] * len(found), pl.String if feature.kind == "category" else pl.Float64)
    if not accepts(feature.type, found.dtype):
        raise wrong_type(feature)
    match feature.type:
        case "category":
            return found.cast(pl.String).alias(feature.name)
        case "boolean" if found.dtype == pl.Boolean or found.drop_nulls().cast(pl.Float64).is_in([0.0, 1.0]).all():
            return found.cast(pl.Float64).alias(feature.name)
        case "integer" | "number":
            number = found.cast(pl.Float64)
            number = pl.select(pl.when(number.abs() <= LARGEST).then(number)).to_series()
            if feature.type == "number" or (number.drop_nulls() % 1 == 0).all():
                return number.alias(feature.name)
    raise wrong_type(feature)


def missing(feature: Feature) -> UserError:
    """The error for rows that lack the column."""
    return UserError(f"the model needs the column {feature.name!r}, which is missing. Add it.")


def wrong_type(feature: Feature) -> UserError:
    """The error for a value of another type."""
    return UserError(f"the column {feature.name!r} holds a value that is not {EXPECTED[feature.type]}. Correct it.")
