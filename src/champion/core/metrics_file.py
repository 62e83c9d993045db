"""Metrics as a JSON file. `dvc metrics show` fits a terminal, because DVC shows numbers in objects and omits lists."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from champion.core.errors import UserError
from champion.core.files import read_json

# The metrics that people compare first. Gates, reports and MLflow read the others too.
HEADLINE = (
    "accuracy",
    "average_precision",
    "base_rate",
    "brier_skill",
    "f1_weighted",
    "precision",
    "recall",
    "roc_auc",
)
DETAILS = "details"


def lay_out_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The file's content: the headline metrics by name, the others as a list of `metric` and `value`."""
    shown = {name: value for name, value in metrics.items() if name in HEADLINE}
    listed = [{"metric": name, "value": metrics[name]} for name in sorted(metrics) if name not in HEADLINE]
    return shown | {DETAILS: listed}


def metrics_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Every metric of such a file by name. Raises a `ValueError` when the list has another form."""
    try:
        listed = {detail["metric"]: detail["value"] for detail in content.get(DETAILS, [])}
    except (KeyError, TypeError):
        raise ValueError(f"`{DETAILS}` is not a list of `metric` and `value`") from None
    return {name: value for name, value in content.items() if name != DETAILS} | listed


def read_metrics(path: Path) -> dict[str, Any]:
    """Every metric of a file that a stage wrote. Raises `UserError` when it is missing or not a metrics file."""
    try:
        return metrics_of(read_json(path))
    except ValueError as error:
        raise UserError(f"{path}: {error}. Run `dvc repro` to make it again.") from None
