"""Verdicts on held-out metrics against the bounds of params.yaml; whatever is missing or not a number is a no."""

from collections.abc import Mapping
from typing import Any

from champion.core.values import finite
from champion.pipeline.evaluate.params import Gate


def judge(metrics: Mapping[str, Any], gates: Mapping[str, Gate]) -> dict[str, dict[str, Any]]:
    """A verdict per gate: the metric's value, its bounds, whether it passed, and by how much.

    `margin` is the distance to the nearest bound, negative when the metric is beyond it; None with no usable value.
    """
    return {name: _judge_one(metrics.get(name), gate) for name, gate in gates.items()}


def listed(verdicts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts as metrics/gates.json has them: a list, which `dvc metrics show` leaves out."""
    return [{"metric": name, **verdict} for name, verdict in sorted(verdicts.items())]


def _judge_one(value: Any, gate: Gate) -> dict[str, Any]:
    bounds = {"min": gate.min, "max": gate.max}
    if finite(value) is None:
        return {"value": None, **bounds, "passed": False, "margin": None}
    distances = [value - gate.min] if gate.min is not None else []
    distances += [gate.max - value] if gate.max is not None else []
    return {"value": value, **bounds, "passed": min(distances) >= 0, "margin": min(distances)}
