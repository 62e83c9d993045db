"""Verdicts on metrics against the bounds in params.yaml. A value that is missing or no number fails."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from champion.core.errors import UserError
from champion.core.strict_yaml import did_you_mean
from champion.core.values import finite
from champion.model.bootstrap import MIN_EFFECTIVE_GROUPS
from champion.pipeline.evaluate.metric_names import REHEARSED, TRAINING
from champion.pipeline.evaluate.params import Gate


def gated_metrics(evaluation: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    """Every metric that a gate can name: those of the test, and those of training with the prefix `training_`."""
    numbers = {f"{TRAINING}{name}": value for name, value in training.items() if not isinstance(value, list)}
    return {**evaluation, **numbers}


def check_gates(gates: Iterable[str], known: Collection[str]) -> None:
    """Raise `UserError` for a gate that is about no metric, with the nearest one."""
    for name in gates:
        if name not in known:
            raise UserError(
                f"params.yaml: `gates.{name}`: there is no such metric of the test, nor of training (`{TRAINING}...`)"
                f"{did_you_mean(name, known)}. Correct or remove it."
            )


def judge(metrics: Mapping[str, Any], gates: Mapping[str, Gate]) -> dict[str, dict[str, Any]]:
    """A verdict per gate on `gated_metrics`: the value, its bounds, whether it passed, its margin and its source.

    `margin` is the distance to the nearest bound: negative if the value is outside, None if there is no usable value.
    `source` is the metric that gave the value. This is the gate's own, except below 20 effective groups: then an
    interval has no ends, and the end of the prediction interval over the rehearsals takes its place.
    """
    sources = {name: _source(name, metrics) for name in gates}
    return {name: _judge_one(metrics.get(sources[name]), gate, sources[name]) for name, gate in gates.items()}


def listed(verdicts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts as a list, as in metrics/gates.json; `dvc metrics show` omits lists."""
    return [{"metric": name, **verdict} for name, verdict in sorted(verdicts.items())]


def bounds_of(verdict: Mapping[str, Any]) -> str:
    """The bounds of a verdict, such as `above 0.5` or `min 0.6 and max 0.9`."""
    return " and ".join(f"{end} {verdict[end]:g}" for end in Gate.model_fields if verdict[end] is not None)


def _source(name: str, metrics: Mapping[str, Any]) -> str:
    groups = finite(metrics.get("effective_groups"))
    few = groups is not None and groups < MIN_EFFECTIVE_GROUPS
    is_end = name.endswith(("_low", "_high")) and not name.startswith(REHEARSED)
    return f"{REHEARSED}{name}" if few and is_end else name


def _judge_one(value: Any, gate: Gate, source: str) -> dict[str, Any]:
    told = {**gate.model_dump(), "source": source}
    if finite(value) is None:
        return {"value": None, **told, "passed": False, "margin": None}
    bounds = {"min": gate.min, "above": gate.above, "max": gate.max, "below": gate.below}
    distances = {
        end: value - bound if end in ("min", "above") else bound - value
        for end, bound in bounds.items()
        if bound is not None
    }
    passed = all(distance > 0 or (distance == 0 and end in ("min", "max")) for end, distance in distances.items())
    return {"value": value, **told, "passed": passed, "margin": min(distances.values())}
