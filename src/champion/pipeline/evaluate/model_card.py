"""The model card: what the model is, its data, how good it is, and its limits."""

from collections.abc import Mapping
from typing import Any

from champion.core.markdown import environment
from champion.pipeline.evaluate.verdicts import bounds_of

SHOWN = {
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "brier": "Brier score",
    "brier_skill": "Brier skill against the held-out base rate",
    "log_loss": "Log loss",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1_weighted": "Weighted F1",
}


def render(
    schema: Mapping[str, Any],
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    worst: Mapping[str, Any] | None,
    verdicts: Mapping[str, Mapping[str, Any]],
    hashes: Mapping[str, str],
) -> str:
    """The card in Markdown. It holds no date of the run, so equal results give equal cards."""
    return (
        environment(__package__)
        .get_template("model_card.md.j2")
        .render(
            schema=schema,
            training=training,
            metrics=metrics,
            worst=worst,
            verdicts=verdicts,
            hashes=hashes,
            shown=SHOWN,
            bounds=bounds_of,
        )
    )
