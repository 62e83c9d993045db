"""Whether the evaluated model may go on: fails closed on anything missing, stale, swapped or not committed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from champion.core.files import read_json, sha256_of
from champion.core.layout import EVALUATION, GATES, MODEL, PARAMS
from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import Sections, read
from champion.core.values import rounded
from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import judge, listed
from champion.repository.committed import require_committed
from champion.repository.lock import verify_run


class GateParams(Sections):
    """The sections of params.yaml that the gate reads."""

    gates: dict[str, Gate]


def failures(root: Path) -> list[str]:
    """Why the gate is closed, one sentence per reason; empty when it is open.

    Verdicts are judged again from the metrics and the committed params, so an edited verdict file opens nothing. Raises
    `UserError` when a file is missing, unreadable, not committed, or not what one whole run of the pipeline left.
    """
    require_committed(root)
    verify_run(root, (MODEL, EVALUATION, GATES))
    gates = read(GateParams, root / PARAMS).gates
    metrics = read_metrics(root / EVALUATION)
    evaluated = read_json(root / GATES)
    found = sha256_of(root / MODEL)
    reasons = []
    if evaluated.get("models") != [{"path": str(MODEL), "sha256": found}]:
        reasons.append(f"{MODEL}: its sha256 is {found}, and {GATES} is about another model. Run `dvc repro`.")
    if evaluated.get("verdicts") != listed(rounded(judge(metrics, gates))):
        reasons.append(
            f"{GATES}: its verdicts are not those of {EVALUATION} under the gates of {PARAMS}. Run `dvc repro`."
        )
    return reasons + shortfalls(metrics, gates)


def shortfalls(metrics: Mapping[str, Any], gates: Mapping[str, Gate]) -> list[str]:
    """Why these metrics do not pass the gates, one sentence each; without a gate nothing passes."""
    reasons = []
    if not gates:
        reasons.append("params.yaml: `gates` is empty, so nothing vouches for the model. Add a gate.")
    for name, verdict in judge(metrics, gates).items():
        if verdict["value"] is None:
            reasons.append(f"{name}: the held-out metrics have no such number")
        elif not verdict["passed"]:
            bounds = " and ".join(f"{end} {verdict[end]:g}" for end in ("min", "max") if verdict[end] is not None)
            reasons.append(f"{name}: {verdict['value']:g} is outside {bounds}")
    return reasons
