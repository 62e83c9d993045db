"""A model as an ONNX graph.

It has only standard operators, and computes in double precision as scikit-learn does, so no value falls on another side
of a split. The graph reads treated rows: `numbers` (rows, numbers) with NaN for missing, and `categories` (rows,
categories) with `MISSING` for missing, each in the order of the features. It gives `probability` (rows,).
"""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from champion.core.errors import UserError
from champion.model.bootstrap import Scores
from champion.model.calibration import SMALLEST, Calibration
from champion.model.model import Model
from champion.model.onnx_scorer import CATEGORIES, KNOWN, MANIFEST, MISSING, NUMBERS, PROBABILITY, UNSEEN
from champion.pipeline.export.trees import AVERAGE, SUM, boosted_trees, describe, forest_trees

OPSETS = {"": 21, "ai.onnx.ml": 5}
# The first format of files with these opsets.
IR_VERSION = 10
# The texts that a category column knows, and their codes.
Coded = tuple[list[str], Scores]


def to_onnx(model: Model) -> bytes:
    """The model as the bytes of an ONNX file, which holds its manifest too. Equal models give equal bytes.

    Raises `UserError` when a category of the training rows is one that the graph needs as a mark.
    """
    graph = _Graph()
    preprocess, estimator = (model.pipeline.named_steps[step] for step in ("preprocess", "model"))
    transformers = {name: (fitted, columns) for name, fitted, columns in preprocess.transformers_}
    encoder, names = transformers["category"]
    categories = [_codes(encoder, names, position, estimator) for position in range(len(names))]
    encoded = graph.add("Concat", *_encode(graph, categories, *transformers["number"]), axis=1)
    probability = _calibrate(graph, model.manifest.calibration, _predict(graph, estimator, encoded))
    graph.add("Squeeze", probability, graph.constant(np.array([1])), output=PROBABILITY)
    kinds = {NUMBERS: (TensorProto.DOUBLE, "number"), CATEGORIES: (TensorProto.STRING, "category")}
    count = {name: sum(one.kind == kind for one in model.features) for name, (_, kind) in kinds.items()}
    inputs = [
        helper.make_tensor_value_info(name, of, ["rows", count[name]]) for name, (of, _) in kinds.items() if count[name]
    ]
    output = helper.make_tensor_value_info(PROBABILITY, TensorProto.DOUBLE, ["rows"])
    made = helper.make_graph(graph.nodes, "champion", inputs, [output], graph.constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    content = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="champion")
    known = {name: texts[:-1] for name, (texts, _) in zip(names, categories, strict=True)}
    described = {MANIFEST: model.manifest.describe(), KNOWN: known}
    helper.set_model_props(content, {name: json.dumps(one, sort_keys=True) for name, one in described.items()})
    onnx.checker.check_model(content, full_check=True)
    serialised: bytes = content.SerializeToString(deterministic=True)
    return serialised


class _Graph:
    """The nodes and constants so far. Values are known by name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, domain: str = "", output: str | None = None, **attributes: Any) -> str:
        """The name of the operator's result."""
        name = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], domain=domain, **attributes))
        return name

    def constant(self, value: Any) -> str:
        """The name of a constant array."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def _encode(graph: _Graph, categories: list[Coded], filled: Any, numbers: list[str]) -> Iterator[str]:
    """The columns that the estimator sees: the categories, then the numbers, which `filled` may fill."""
    if categories and all(codes.shape[1] == 1 for _, codes in categories):
        yield _encode_at_once(graph, categories)
    else:
        for position, (texts, codes) in enumerate(categories):
            column = graph.add("Gather", CATEGORIES, graph.constant(position), axis=1)
            yield graph.add("Gather", graph.constant(codes), _number(graph, column, texts), axis=0)
    if numbers:
        yield _fill(graph, filled) if isinstance(filled, SimpleImputer | Pipeline) else NUMBERS


def _encode_at_once(graph: _Graph, columns: list[Coded]) -> str:
    """All category columns, when each has one code: a few operators for all are faster than a few for each.

    The texts of all columns get numbers together. A number and its column then give the place of the code.
    """
    texts = sorted({text for known, _ in columns for text in known})
    tables = []
    for known, codes in columns:
        by_text = dict(zip(known, codes[:, 0], strict=False))
        tables.append([*(by_text.get(text, codes[-1, 0]) for text in texts), codes[-1, 0]])
    begins = graph.constant(np.arange(len(columns))[None] * (len(texts) + 1))
    place = graph.add("Add", _number(graph, CATEGORIES, texts), begins)
    return graph.add("Gather", graph.constant(np.array(tables).ravel()), place, axis=0)


def _number(graph: _Graph, column: str, texts: list[str]) -> str:
    """The place of each text among these; any other text comes after the last."""
    numbers: dict[str, Any] = {"values_int64s": list(range(len(texts))), "default_int64": len(texts)}
    return graph.add("LabelEncoder", column, domain="ai.onnx.ml", keys_strings=texts, **numbers)


def _codes(encoder: Any, names: list[str], position: int, estimator: Any) -> Coded:
    """The texts that one category column knows, and their codes: a row for each of them, and one for any other text.

    The fitted encoder is asked, so what it does with rare, missing and unseen categories needs no second version.
    """
    known = [text for text in encoder.categories_[position] if isinstance(text, str)]
    marks = {MISSING, UNSEEN}.intersection(known)
    if marks:
        raise UserError(
            f"the column {names[position]!r} holds {marks.pop()!a}, which models/model.onnx needs as a mark. Replace "
            "it in the table."
        )
    values: list[Any] = [*known, np.nan, UNSEEN]
    asked = pd.DataFrame({name: np.full(len(values), np.nan, object) for name in names})
    asked[names[position]] = np.array(values, object)
    with warnings.catch_warnings():
        # The one-hot encoder warns of unseen values, which are the question here.
        warnings.simplefilter("ignore", UserWarning)
        codes = encoder.transform(asked)
    widths = encoder._n_features_outs if isinstance(encoder, OneHotEncoder) else [1] * len(names)
    if getattr(estimator, "_preprocessor", None) is not None:
        # Boosting with native categories has an encoder of its own.
        codes = estimator._preprocessor.named_transformers_["encoder"].transform(codes)
    return [*known, MISSING], np.split(codes, np.cumsum(widths)[:-1], axis=1)[position]


def _fill(graph: _Graph, filled: SimpleImputer | Pipeline) -> str:
    """The numbers without gaps, then one column for each number that tells where it was missing, all scaled or not.

    Scaled ones may be clipped too.
    """
    imputer, *others = [filled] if isinstance(filled, SimpleImputer) else [step for _, step in filled.steps]
    missing = graph.add("IsNaN", NUMBERS)
    columns = [graph.add("Where", missing, graph.constant(imputer.statistics_[None]), NUMBERS)]
    if len(told := imputer.indicator_.features_):
        told_missing = graph.add("Gather", missing, graph.constant(told.astype(np.int64)), axis=1)
        columns.append(graph.add("Cast", told_missing, to=TensorProto.DOUBLE))
    whole = graph.add("Concat", *columns, axis=1)
    for one in others:
        if isinstance(one, StandardScaler):
            centred = graph.add("Sub", whole, graph.constant(one.mean_[None]))
            whole = graph.add("Div", centred, graph.constant(one.scale_[None]))
        else:
            whole = graph.add("Clip", whole, *(graph.constant(one.kw_args[end]) for end in ("a_min", "a_max")))
    return whole


def _predict(graph: _Graph, estimator: Any, columns: str) -> str:
    """The probability without calibration, shape (rows, 1)."""
    match estimator:
        case HistGradientBoostingClassifier():
            trees = describe(boosted_trees(estimator), SUM)
            total = graph.add("TreeEnsemble", columns, domain="ai.onnx.ml", **trees)
            odds = graph.add("Add", total, graph.constant(estimator._baseline_prediction))
        case RandomForestClassifier() | ExtraTreesClassifier() | DecisionTreeClassifier():
            # A forest reads its numbers in single precision.
            single = graph.add("Cast", columns, to=TensorProto.FLOAT)
            columns = graph.add("Cast", single, to=TensorProto.DOUBLE)
            return graph.add("TreeEnsemble", columns, domain="ai.onnx.ml", **describe(forest_trees(estimator), AVERAGE))
        case VotingClassifier():
            weights = np.array(estimator.weights or [1] * len(estimator.estimators_), float)
            votes = graph.add("Concat", *(_predict(graph, voter, columns) for voter in estimator.estimators_), axis=1)
            return graph.add("MatMul", votes, graph.constant((weights / weights.sum())[:, None]))
        case LogisticRegression() | LinearDiscriminantAnalysis():
            product = graph.add("MatMul", columns, graph.constant(estimator.coef_.T))
            odds = graph.add("Add", product, graph.constant(estimator.intercept_))
        case _:
            raise TypeError(f"no graph is known for {type(estimator).__name__}")
    return graph.add("Sigmoid", odds)


def _calibrate(graph: _Graph, calibration: Calibration | None, probability: str) -> str:
    if calibration is None:
        return probability
    if calibration.kind == "sigmoid":
        ends = [graph.constant(end) for end in (SMALLEST, 1 - SMALLEST)]
        inside = graph.add("Clip", probability, *ends)
        outside = graph.add("Sub", graph.constant(1.0), inside)
        odds = graph.add("Log", graph.add("Div", inside, outside))
        sloped = graph.add("Mul", odds, graph.constant(calibration.x[0]))
        return graph.add("Sigmoid", graph.add("Add", sloped, graph.constant(calibration.y[0])))
    # The curve is its first value, and for each straight piece its rise times the part of it that lies below.
    x, y = np.array(calibration.x), np.array(calibration.y)
    begins, lengths = x[None, :-1], np.diff(x)[None]
    step = lengths == 0
    below = graph.add("Sub", probability, graph.constant(begins))
    # A piece without length is a step, which a probability at its place has taken.
    taken = graph.add("Cast", graph.add("GreaterOrEqual", below, graph.constant(0.0)), to=TensorProto.DOUBLE)
    covered = graph.add("Div", below, graph.constant(np.where(step, 1.0, lengths)))
    inside = graph.add("Clip", covered, graph.constant(0.0), graph.constant(1.0))
    part = graph.add("Where", graph.constant(step), taken, inside)
    risen = graph.add("MatMul", part, graph.constant(np.diff(y)[:, None]))
    return graph.add("Add", risen, graph.constant(y[0]))
