"""Verdicts on the metrics of the test against the bounds in params.yaml. A value that is missing or no number fails."""

from collections.abc import Mapping
from typing import Any

from champion.core.values import finite
from champion.pipeline.evaluate.params import Gate


def judge(metrics: Mapping[str, Any], gates: Mapping[str, Gate]) -> dict[str, dict[str, Any]]:
    """A verdict per gate: the metric's value, its bounds, whether it passed, and its margin.

    `margin` is the distance to the nearest bound: negative if the value is outside, None if there is no usable value.
    """
    return {name: _judge_one(metrics.get(name), gate) for name, gate in gates.items()}


def listed(verdicts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts as a list, as in metrics/gates.json; `dvc metrics show` omits lists."""
    return [{"metric": name, **verdict} for name, verdict in sorted(verdicts.items())]


def bounds_of(verdict: Mapping[str, Any]) -> str:
    """The bounds of a verdict, such as `min 0.6 and max 0.9`."""
    return " and ".join(f"{end} {verdict[end]:g}" for end in ("min", "max") if verdict[end] is not None)


def _judge_one(value: Any, gate: Gate) -> dict[str, Any]:
    bounds = {"min": gate.min, "max": gate.max}
    if finite(value) is None:
        return {"value": None, **bounds, "passed": False, "margin": None}
    distances = [value - gate.min] if gate.min is not None else []
    distances += [gate.max - value] if gate.max is not None else []
    return {"value": value, **bounds, "passed": min(distances) >= 0, "margin": min(distances)}
