"""The indices that scikit-learn's compiled code uses without a check: a forged model file can point them anywhere.

These are the nodes of a tree, and the column numbers of a one-hot encoder. All other code that predicts is Python or
NumPy, which check their own indices.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree._tree import Tree

from champion.model.archive import ForgedError
from champion.model.estimators import STORABLE, VOTERS
from champion.table.features import Feature
from champion.table.rows import to_row_frame

# scikit-learn keeps a set of categories as 256 bits.
BITSET_WORDS = 8
NO_CHILD = -1


def check_bounds(pipeline: Pipeline, features: list[Feature]) -> None:
    """Raise `ForgedError` if the pipeline would use an index out of bounds when it predicts rows of these features.

    It transforms one row, so a broken pipeline can raise any other exception.
    """
    (first, preprocess), (second, model) = pipeline.steps
    voters = model.estimators_ if type(model) is VotingClassifier else []
    known = type(model) in STORABLE and all(type(voter) in VOTERS for voter in voters)
    if (first, second) != ("preprocess", "model") or not known:
        raise ForgedError("it is not a preprocessor and one of our estimators")
    parts = list(_parts(pipeline))
    for part in parts:
        _check_state(part)
        # A preprocessor keeps the encoder that it was made from, which is not fitted.
        if isinstance(part, OneHotEncoder) and hasattr(part, "categories_"):
            _check_one_hot(part)
    # Every row has as many columns as one whose values are all missing.
    missing = dict.fromkeys(feature.name for feature in features)
    rows = preprocess.transform(to_row_frame(missing, features))
    if isinstance(model, HistGradientBoostingClassifier):
        rows = model._preprocess_X(rows, reset=False)
        _check_mapper(model._bin_mapper, rows.shape[1])
    for part in parts:
        if isinstance(part, Tree):
            _check_tree(part, rows.shape[1])
        elif isinstance(part, TreePredictor):
            _check_predictor(part, rows.shape[1], model._bin_mapper.is_categorical_)


def _parts(whole: Any) -> Iterator[Any]:
    """Every object with a state that the whole refers to, directly or not, and the whole itself; each object once."""
    waiting, seen = [whole], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)
        elif isinstance(part, np.ndarray):
            waiting.extend(part.flat if part.dtype == object else ())
        elif isinstance(part, Tree):
            yield part
        elif not isinstance(part, type | partial) and hasattr(part, "__dict__"):
            yield part
            waiting.extend(vars(part).values())


def _check_state(part: Any) -> None:
    """Refuse a state that makes an object predict in another way than the one that is checked here."""
    state = getattr(part, "__dict__", {})
    for name in state:
        if callable(getattr(type(part), name, None)):
            raise ForgedError(f"it replaces the method {name} of a {type(part).__name__}")
    # The first means that rows come as bins; the second starts processes.
    if state.get("_in_fit") or (isinstance(part, ColumnTransformer) and part.n_jobs is not None):
        raise ForgedError(f"it has a {type(part).__name__} that is not ready to predict")


def _check_one_hot(encoder: OneHotEncoder) -> None:
    enabled = encoder._infrequent_enabled
    nothing = [None] * len(encoder.categories_)
    columns = zip(
        encoder.categories_,
        encoder._default_to_infrequent_mappings if enabled else nothing,
        encoder._infrequent_indices if enabled else nothing,
        encoder._n_features_outs,
        strict=True,
    )
    for categories, mapping, infrequent, width in columns:
        # scikit-learn looks text up in a dict, but searches numbers as if they were sorted.
        text = categories.dtype == object and all(map(_is_text, categories))
        codes = np.arange(len(categories)) if mapping is None else mapping
        sound = text and codes.dtype.kind in "iu" and len(codes) == len(categories)
        if not sound or (mapping is None) != (infrequent is None) or not ((codes >= 0) & (codes < width)).all():
            raise ForgedError("the column of a category is out of bounds")
    if type(encoder._n_features_outs) is not list or encoder._drop_idx_after_grouping is not None:
        raise ForgedError("the column of a category is out of bounds")


def _is_text(category: Any) -> bool:
    return category is None or isinstance(category, str) or (isinstance(category, float) and math.isnan(category))


def _check_mapper(mapper: _BinMapper, width: int) -> None:
    bitsets, index = mapper.make_known_categories_bitsets()
    shapes = (mapper.is_categorical_.shape, index.shape, bitsets.shape[1:])
    if type(mapper) is not _BinMapper or shapes != ((width,), (width,), (BITSET_WORDS,)):
        raise ForgedError("the categories of a feature are out of bounds")


def _check_tree(tree: Tree, width: int) -> None:
    # This comes first, because the arrays below have this length.
    if not 1 <= tree.node_count <= tree.capacity:
        raise ForgedError("a tree has no nodes")
    left, right = tree.children_left, tree.children_right
    _check_nodes(left, right, tree.feature, (left == NO_CHILD) & (right == NO_CHILD), width)


def _check_predictor(tree: TreePredictor, width: int, categorical: NDArray[np.bool_]) -> None:
    nodes, bitsets = tree.nodes, tree.raw_left_cat_bitsets
    if nodes.dtype != PREDICTOR_RECORD_DTYPE or not len(nodes):
        raise ForgedError("a tree has no nodes")
    leaf = nodes["is_leaf"].astype(bool)
    if (nodes["left"][leaf] | nodes["right"][leaf]).any():
        raise ForgedError("a leaf has children")
    _check_nodes(nodes["left"], nodes["right"], nodes["feature_idx"], leaf, width)
    split = nodes[~leaf & nodes["is_categorical"].astype(bool)]
    known = bitsets.shape[1:] == (BITSET_WORDS,) and (split["bitset_idx"] < len(bitsets)).all()
    if not known or not categorical[split["feature_idx"]].all():
        raise ForgedError("the categories of a tree node are out of bounds")


def _check_nodes(
    left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], leaf: NDArray[np.bool_], width: int
) -> None:
    """A child must have a larger index than its parent, as scikit-learn writes them, so there is no cycle."""
    inner = np.flatnonzero(~leaf)
    for child in (left[inner], right[inner]):
        if not ((child > inner) & (child < len(leaf))).all():
            raise ForgedError("the child of a tree node is out of bounds, or comes before its parent")
    if not ((feature[inner] >= 0) & (feature[inner] < width)).all():
        raise ForgedError("the feature of a tree node is out of bounds")
