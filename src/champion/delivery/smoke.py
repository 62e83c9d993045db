"""Whether a model in a store works: it loads by hash and predicts the same as at its registration."""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from champion.core.errors import UserError
from champion.environments import Thresholds
from champion.registry.versions import Version, load_bytes

if TYPE_CHECKING:
    from champion.model.bootstrap import Scores
    from champion.model.model import Model


@dataclass(frozen=True)
class SmokeReport:
    """Every reason for a failure, and the measurements; these are None if the model did not load."""

    failures: tuple[str, ...]
    examples: int | None = None
    largest_difference: float | None = None
    row_latency_ms: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the model may serve."""
        return not self.failures

    def details(self) -> dict[str, Any]:
        """The report as a ledger row keeps it."""
        kept: dict[str, Any] = {"passed": self.passed, "failures": list(self.failures)}
        if self.examples is None:
            return kept
        measured = (self.largest_difference, self.row_latency_ms)
        return (
            kept
            | {"examples": self.examples}
            | dict(zip(("largest_difference", "row_latency_ms"), measured, strict=True))
        )


def examine(content: bytes, examples: bytes, version: Version, thresholds: Thresholds) -> SmokeReport:
    """The report of a smoke test of these bytes."""
    try:
        model = load_bytes(content, version.model_sha256)
    except UserError as error:
        return SmokeReport((f"the model does not load: {error}",))
    return _examine_loaded(model, json.loads(examples), version, thresholds)


def _examine_loaded(model: "Model", stored: Mapping[str, Any], version: Version, thresholds: Thresholds) -> SmokeReport:
    import numpy as np
    import polars as pl

    from champion.table.columns import dtype
    from champion.table.features import describe_features

    failures = []
    if describe_features(model.features) != list(version.features):
        failures.append("its features differ from those at its registration")
    types = {feature.name: dtype(feature.type) for feature in model.features}
    values = {name: [row.get(name) for row in stored["rows"]] for name in types}
    rows = pl.DataFrame(values, schema=types, strict=False)
    found, expected = model.predict(rows), np.array(stored["probabilities"])
    if not len(expected):
        failures.append("there are no stored examples to test it with")
    if np.isnan(found).any():
        failures.append("it predicts NaN")
    elif len(found) and (found.min() < 0 or found.max() > 1):
        failures.append(f"it predicts {found.min():g} to {found.max():g}, which are not probabilities")
    alone, latency = _ask_one_by_one(model, stored["rows"])
    difference = float(np.abs([found - expected, alone - expected]).max(initial=0.0))
    if not difference <= thresholds.prediction_tolerance:
        failures.append(
            f"its predictions differ by up to {difference:.3g} from those at its registration, but only "
            f"{thresholds.prediction_tolerance:g} is allowed"
        )
    if latency > thresholds.row_latency_ms:
        failures.append(f"one row takes {latency:.1f} ms, but only {thresholds.row_latency_ms:g} ms are allowed")
    largest = difference if np.isfinite(difference) else None
    return SmokeReport(tuple(failures), len(expected), largest, round(latency, 3))


def _ask_one_by_one(model: "Model", rows: Sequence[Mapping[str, Any]]) -> "tuple[Scores, float]":
    """The prediction for each single row, as a server asks for it, and the median time of one in milliseconds."""
    import numpy as np

    answers, times = [], []
    for row in rows:
        start = time.perf_counter()
        answers.append(model.predict_row(row))
        times.append(time.perf_counter() - start)
    return np.array(answers), 1000 * statistics.median(times) if times else 0.0
