"""Preprocessing as one ColumnTransformer, which is only ever fitted together with the model, on training rows."""

from typing import Literal

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from champion.table.features import Feature

Encoding = Literal["ordinal", "one_hot"]


def build_preprocessor(
    features: list[Feature], *, encoding: Encoding, scale: bool, max_categories: int
) -> ColumnTransformer:
    """Numbers: median imputation with an indicator of missingness, scaled on request. Categories: encoded.

    The `max_categories - 1` most frequent categories have their own codes; all others share one code. A category not
    seen in training becomes missing (ordinal), or gets the shared code, or all zeros without a shared code (one-hot).
    """
    numbers = [feature.name for feature in features if feature.kind == "number"]
    categories = [feature.name for feature in features if feature.kind == "category"]
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return ColumnTransformer(
        [
            ("category", _encoder(encoding, max_categories), categories),
            ("number", make_pipeline(imputer, StandardScaler()) if scale else imputer, numbers),
        ],
        verbose_feature_names_out=False,
    )


def _encoder(encoding: Encoding, max_categories: int) -> OrdinalEncoder | OneHotEncoder | Pipeline:
    if encoding == "one_hot":
        return OneHotEncoder(max_categories=max_categories, handle_unknown="infrequent_if_exist", sparse_output=False)
    return OrdinalEncoder(
        max_categories=max_categories,
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )
