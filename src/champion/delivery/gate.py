"""Whether the evaluated models may be delivered. Anything missing, stale, swapped or uncommitted closes the gate."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from champion.core.files import read_json, sha256_of
from champion.core.layout import EVALUATION, GATES, MODEL, PARAMS, REHEARSED, TRAINING
from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import Sections, read
from champion.core.values import rounded
from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import bounds_of, gated_metrics, judge, listed
from champion.repository.committed import require_committed
from champion.repository.lock import verify_run


class GateParams(Sections):
    """The sections of params.yaml that the gate reads."""

    gates: dict[str, Gate]


def failures(root: Path) -> list[str]:
    """Why the gate is closed, one sentence per reason; empty when it is open.

    Verdicts are computed again from the metrics and the committed params, so an edited verdict file cannot open the
    gate. Raises `UserError` when a file is missing, unreadable, uncommitted, or not from one complete run.
    """
    require_committed(root)
    verify_run(root, (MODEL, REHEARSED, TRAINING, EVALUATION, GATES))
    gates = read(GateParams, root / PARAMS).gates
    metrics, training = (read_metrics(root / path) for path in (EVALUATION, TRAINING))
    reasons = foreign_metrics(root, GATES, (MODEL, REHEARSED))
    if read_json(root / GATES).get("verdicts") != listed(rounded(judge(gated_metrics(metrics, training), gates))):
        sources = f"{EVALUATION}, {TRAINING} and the gates of {PARAMS}"
        reasons.append(f"{GATES}: its verdicts do not fit {sources}. Run `dvc repro`.")
    return reasons + shortfalls(metrics, training, gates)


def foreign_metrics(root: Path, metrics: Path, models: tuple[Path, Path]) -> list[str]:
    """A sentence if the metrics file is about other models than these two on disk, else nothing."""
    found = [{"path": str(path), "sha256": sha256_of(root / path)} for path in models]
    if read_json(root / metrics).get("models") == found:
        return []
    return [f"{metrics}: it is about other models than {models[0]} and {models[1]}. Run `dvc repro`."]


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
