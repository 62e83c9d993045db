"""Fitted trees as the attributes of ONNX's operator TreeEnsemble."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from champion.model.bootstrap import Scores

# Codes of the operator's specification.
LESS_OR_EQUAL, MEMBER = 0, 6
AVERAGE, SUM = 0, 1
END_OF_SET = np.nan
# A set may not be empty, but a node can send only missing values to the left.
NO_CATEGORY = -1.0


@dataclass(frozen=True)
class Tree:
    """One tree, with an entry for each node; the first is the root.

    A row goes `left` where its feature is at most the `split`, or where it is one of the node's `members`, if the node
    has some. A missing value goes left if `missing_left`. `value` counts in leaves.
    """

    is_leaf: NDArray[np.bool_]
    feature: NDArray[np.int64]
    split: Scores
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    value: Scores
    members: dict[int, Scores]


def boosted_trees(model: HistGradientBoostingClassifier) -> Iterator[Tree]:
    """The trees of boosting, whose values add up to the log odds, beside its baseline."""
    for (predictor,) in model._predictors:
        nodes = predictor.nodes
        members = {
            int(node): _bits(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]])
            for node in np.flatnonzero(nodes["is_categorical"])
        }
        yield Tree(
            nodes["is_leaf"].astype(bool),
            nodes["feature_idx"],
            nodes["num_threshold"],
            nodes["left"],
            nodes["right"],
            nodes["missing_go_to_left"].astype(bool),
            nodes["value"],
            members,
        )


def forest_trees(model: RandomForestClassifier | ExtraTreesClassifier | DecisionTreeClassifier) -> Iterator[Tree]:
    """The trees of a forest, the mean of whose values is the probability; or the one tree."""
    for one in [model] if isinstance(model, DecisionTreeClassifier) else model.estimators_:
        tree = one.tree_
        votes = tree.value[:, 0, :]
        yield Tree(
            tree.children_left == -1,
            tree.feature,
            tree.threshold,
            tree.children_left,
            tree.children_right,
            tree.missing_go_to_left.astype(bool),
            votes[:, 1] / votes.sum(axis=1),
            {},
        )


def describe(trees: Iterable[Tree], aggregate: int) -> dict[str, Any]:
    """The operator's attributes: the nodes and leaves of all trees, whose values are added up or averaged."""
    parts = []
    nodes = leaves = 0
    for tree in trees:
        parts.append(_describe_one(tree, nodes, leaves))
        nodes, leaves = nodes + len(parts[-1]["splits"]), leaves + len(parts[-1]["weights"])
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {
        "n_targets": 1,
        "aggregate_function": aggregate,
        "tree_roots": np.cumsum([0, *(len(part["splits"]) for part in parts[:-1])]).tolist(),
        "nodes_modes": numpy_helper.from_array(found["modes"].astype(np.uint8)),
        "nodes_featureids": found["features"].tolist(),
        "nodes_splits": numpy_helper.from_array(found["splits"]),
        "nodes_missing_value_tracks_true": found["missing"].tolist(),
        "nodes_truenodeids": found["true"].tolist(),
        "nodes_trueleafs": found["true_leaf"].tolist(),
        "nodes_falsenodeids": found["false"].tolist(),
        "nodes_falseleafs": found["false_leaf"].tolist(),
        "leaf_targetids": [0] * leaves,
        "leaf_weights": numpy_helper.from_array(found["weights"]),
    } | ({"membership_values": numpy_helper.from_array(found["members"])} if len(found["members"]) else {})


def _describe_one(tree: Tree, nodes: int, leaves: int) -> dict[str, NDArray[Any]]:
    """One tree after so many nodes and leaves, which the operator numbers apart."""
    inner, leaf = np.flatnonzero(~tree.is_leaf), np.flatnonzero(tree.is_leaf)
    number = np.empty(len(tree.is_leaf), np.int64)
    number[inner], number[leaf] = nodes + np.arange(len(inner)), leaves + np.arange(len(leaf))
    left, right = tree.left[inner].astype(np.int64), tree.right[inner].astype(np.int64)
    if not len(inner):
        # The operator needs a node above a tree's only leaf.
        inner, left, right = np.zeros((3, 1), np.int64)
    sets = [np.append(tree.members[node], END_OF_SET) for node in inner.tolist() if node in tree.members]
    return {
        "modes": np.array([MEMBER if node in tree.members else LESS_OR_EQUAL for node in inner]),
        "features": np.maximum(tree.feature[inner], 0).astype(np.int64),
        "splits": tree.split[inner].astype(np.float64),
        "missing": tree.missing_left[inner].astype(np.int64),
        "true": number[left],
        "true_leaf": tree.is_leaf[left].astype(np.int64),
        "false": number[right],
        "false_leaf": tree.is_leaf[right].astype(np.int64),
        "weights": tree.value[leaf].astype(np.float64),
        "members": np.concatenate(sets) if sets else np.empty(0),
    }


def _bits(words: NDArray[np.uint32]) -> Scores:
    """The positions of the bits that are set in these words of 32, which are the codes of categories."""
    codes = np.flatnonzero(np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little"))
    return codes.astype(np.float64) if len(codes) else np.array([NO_CATEGORY])
