"""Preprocessing as one ColumnTransformer, which is only ever fitted together with the model, on training rows."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from champion.table.features import Feature

# In standard deviations from the mean.
FARTHEST = 1e6


def build_preprocessor(
    features: list[Feature], *, for_trees: bool, scale: bool, clip: bool = False, max_categories: int
) -> ColumnTransformer:
    """Categories first, as ordinals `for_trees` that read missing values, else one-hot; then numbers.

    For such trees numbers stay as they are, else missing ones become the median and an indicator, scaled on request,
    and then clipped on request, as trees that are no boosting read single precision.
    The `max_categories - 1` most frequent categories have their own codes; all others share one code. A category not
    seen in training becomes missing (ordinal), or gets the shared code, or all zeros without a shared code (one-hot).
    """
    numbers = [feature.name for feature in features if feature.kind == "number"]
    categories = [feature.name for feature in features if feature.kind == "category"]
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    limited = [FunctionTransformer(np.clip, kw_args={"a_min": -FARTHEST, "a_max": FARTHEST})] if clip else []
    filled = make_pipeline(imputer, StandardScaler(), *limited) if scale else imputer
    return ColumnTransformer(
        [
            ("category", _encoder(max_categories, ordinal=for_trees), categories),
            ("number", "passthrough" if for_trees else filled, numbers),
        ],
        verbose_feature_names_out=False,
    )


def _encoder(max_categories: int, *, ordinal: bool) -> OrdinalEncoder | OneHotEncoder:
    if not ordinal:
        return OneHotEncoder(max_categories=max_categories, handle_unknown="infrequent_if_exist", sparse_output=False)
    return OrdinalEncoder(
        max_categories=max_categories,
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )
