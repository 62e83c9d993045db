"""Whether the evaluated model may be delivered. The gate is closed if anything is missing, stale or swapped."""

from pathlib import Path

from champion.core.files import read_json, sha256_of
from champion.core.layout import EVALUATION, GATES, MODEL, PARAMS
from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import Sections, read
from champion.core.values import rounded
from champion.pipeline.evaluate.params import Gate
from champion.pipeline.evaluate.verdicts import judge, listed


class GateParams(Sections):
    """The sections of params.yaml that the gate reads."""

    gates: dict[str, Gate]


def failures(root: Path) -> list[str]:
    """Why the gate is closed, one sentence per reason; empty when it is open.

    Verdicts are computed again from the metrics and the current params, so an edited verdict file cannot open the gate.
    Raises `UserError` when a file is missing or unreadable.
    """
    gates = read(GateParams, root / PARAMS).gates
    metrics = read_metrics(root / EVALUATION)
    evaluated = read_json(root / GATES)
    found = sha256_of(root / MODEL)
    reasons = []
    if not gates:
        reasons.append("params.yaml: `gates` is empty, so nothing proves that the model is good. Add a gate.")
    if evaluated.get("models") != [{"path": str(MODEL), "sha256": found}]:
        reasons.append(f"{MODEL}: its sha256 is {found}, but {GATES} is about another model. Run `dvc repro`.")
    verdicts = judge(metrics, gates)
    if evaluated.get("verdicts") != listed(rounded(verdicts)):
        reasons.append(f"{GATES}: its verdicts do not fit {EVALUATION} and the gates of {PARAMS}. Run `dvc repro`.")
    for name, verdict in verdicts.items():
        if verdict["value"] is None:
            reasons.append(f"{name}: {EVALUATION} has no number for it")
        elif not verdict["passed"]:
            bounds = " and ".join(f"{end} {verdict[end]:g}" for end in ("min", "max") if verdict[end] is not None)
            reasons.append(f"{name}: {verdict['value']:g} is outside {bounds}")
    return reasons
