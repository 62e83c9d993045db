"""Whether the evaluated models may be delivered. Anything missing, stale, swapped or uncommitted closes the gate."""

from pathlib import Path

from champion.core.files import read_json, sha256_of
from champion.core.layout import EVALUATION, GATES, MODEL, PARAMS, REHEARSED, TRAINING
from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import Sections, read
from champion.core.values import rounded
from champion.judging.gate import shortfalls
from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import gated_metrics, judge, listed
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
