"""Whether metrics pass the gates."""

from collections.abc import Mapping
from typing import Any

from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import bounds_of, gated_metrics, judge


def shortfalls(metrics: Mapping[str, Any], training: Mapping[str, Any], gates: Mapping[str, Gate]) -> list[str]:
    """Why these metrics of the test and of training do not pass the gates, one sentence per reason.

    Without gates, nothing passes.
    """
    reasons = []
    if not gates:
        reasons.append("params.yaml: `gates` is empty, so nothing proves that the model is good. Add a gate.")
    for name, verdict in judge(gated_metrics(metrics, training), gates).items():
        if verdict["value"] is None:
            own = verdict["source"] == name
            few = "" if own else "the test has too few groups for an interval, and "
            reasons.append(f"{name}: {few}the metrics have no number for {'it' if own else verdict['source']}")
        elif not verdict["passed"]:
            source = "" if verdict["source"] == name else f" of {verdict['source']}"
            is_strict = any(verdict[end] is not None for end in ("above", "below"))
            outside = f"is {'not' if is_strict else 'outside'} {bounds_of(verdict)}"
            reasons.append(f"{name}: {verdict['value']:g}{source} {outside}")
    return reasons
