"""Whether a model that is in a store works there: it loads by hash and answers as it did when it was registered."""

import json
import statistics
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from champion.core.errors import UserError
from champion.environments import Thresholds
from champion.registry.ledger import Row

if TYPE_CHECKING:
    from champion.model.model import Model


def examine(content: bytes, examples: bytes, version: Row, thresholds: Thresholds) -> dict[str, Any]:
    """The report of a smoke test: `passed`, the `failures` in sentences, and what was measured."""
    from champion.registry.versions import load_bytes

    try:
        model = load_bytes(content, str(version.model_sha256))
    except UserError as error:
        return {"passed": False, "failures": [f"it does not load: {error}"]}
    return _examine_loaded(model, json.loads(examples), version, thresholds)


def _examine_loaded(model: "Model", stored: dict[str, Any], version: Row, thresholds: Thresholds) -> dict[str, Any]:
    import numpy as np
    import polars as pl

    failures = []
    if [asdict(feature) for feature in model.features] != version.details["features"]:
        failures.append("its features are not those it was registered with")
    types = {feature.name: pl.String if feature.kind == "category" else pl.Float64 for feature in model.features}
    values = {name: [row.get(name) for row in stored["rows"]] for name in types}
    rows = pl.DataFrame(values, schema_overrides=types, strict=False)
    found, expected = model.predict(rows), np.array(stored["probabilities"])
    if not len(expected):
        failures.append("no example was stored to try it on")
    if np.isnan(found).any():
        failures.append("it answers NaN")
    elif len(found) and (found.min() < 0 or found.max() > 1):
        failures.append(f"it answers {found.min():g} to {found.max():g}, which is no probability")
    difference = float(np.abs(found - expected).max(initial=0.0))
    if not difference <= thresholds.prediction_tolerance:
        failures.append(
            f"its answers differ by up to {difference:.3g} from those at its registration, "
            f"{thresholds.prediction_tolerance:g} is allowed"
        )
    latency = _latency_ms(model, rows)
    if latency > thresholds.row_latency_ms:
        failures.append(f"one row takes {latency:.1f} ms, {thresholds.row_latency_ms:g} is allowed")
    return {
        "passed": not failures,
        "failures": failures,
        "examples": len(expected),
        "largest_difference": difference if np.isfinite(difference) else None,
        "row_latency_ms": round(latency, 3),
    }


def _latency_ms(model: "Model", rows: Any) -> float:
    """The median time of predicting one row alone."""
    times = []
    for index in range(rows.height):
        start = time.perf_counter()
        model.predict(rows[index])
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times) if times else 0.0
