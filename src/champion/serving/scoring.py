"""The rows of a request, scored by one version."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from champion.core.errors import UserError
from champion.model.onnx_scorer import Reading
from champion.serving import metrics
from champion.serving.live_model import OpenVersion
from champion.serving.schema import Prediction, Warned, refuse_wrong
from champion.table.exclusions import excluding_rule_of_row

Scores = NDArray[np.float64]
# A row as the model reads it, and the rule by which training excludes it.
Read = tuple[Reading, str | None]


def score(version: OpenVersion, rows: Sequence[Mapping[str, Any]]) -> tuple[list[Read], Scores]:
    """What the version reads in the rows, and a probability for each row that no rule excludes."""
    read = read_each(version, rows)
    inside = in_scope(read)
    return read, version.scorer.score(inside) if inside else np.empty(0)


def read_each(version: OpenVersion, rows: Sequence[Mapping[str, Any]]) -> list[Read]:
    """What the version reads in the rows. Raises `Problem` naming each row and field that is wrong."""
    try:
        read = [(version.scorer.read(row), excluding_rule_of_row(row, version.exclusions)) for row in rows]
    except UserError:
        raise refuse_wrong(rows, version.features, version.required) from None
    if version.required and any(name not in row for name in version.required for row in rows):
        raise refuse_wrong(rows, version.features, version.required)
    return read


def in_scope(read: Sequence[Read]) -> list[Reading]:
    """The rows that no rule excludes."""
    return [reading for reading, rule in read if rule is None]


def predictions(version: OpenVersion, read: Sequence[Read], scores: Scores) -> list[Prediction]:
    """The answer for each row."""
    found, cut, left = [], version.scorer.manifest.cut, iter(scores.tolist())
    for reading, rule in read:
        warned = _warn(reading) if reading.invalid or reading.unseen else []
        if rule is not None:
            found.append(Prediction(warned, out_of_scope=rule))
        else:
            probability = next(left)
            if math.isnan(probability):
                raise ValueError(f"{version.name} gives NaN as a probability")
            found.append(Prediction(warned, probability, probability >= cut))
    return found


def count_emptied(answered: Sequence[Prediction], counts: metrics.Buffer) -> None:
    """Measure the values that were as good as missing, and the rows that a rule excludes."""
    rules = [one.out_of_scope for one in answered if one.out_of_scope is not None]
    warned = [(warning.field, warning.reason) for one in answered for warning in one.warnings]
    for rule, rows in Counter(rules).items() if rules else ():
        counts.add(metrics.OUT_OF_SCOPE.labels(rule), rows)
    for (field, reason), values in Counter(warned).items() if warned else ():
        counts.add(metrics.EMPTIED.labels(field, reason), values)


def _warn(reading: Reading) -> list[Warned]:
    warned = [Warned(name, "invalid") for name in reading.invalid]
    warned += [Warned(name, "unseen") for name in reading.unseen]
    return warned
