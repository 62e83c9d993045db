"""The model card: what the models are, their data, how good they are, and their limits."""

from typing import Any

from champion.core.markdown import environment
from champion.pipeline.evaluate.verdicts import bounds_of

SHOWN = {
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "lift_10": "Lift of the riskiest 10%",
    "brier_skill": "Brier skill against the rate known before",
    "brier_skill_hindsight": "Brier skill against the test's own rate",
    "calibration_slope": "Calibration slope",
    "observed_expected": "Observed / expected",
    "observed_expected_known": "Observed / expected without a model",
    "flagged_share": "Share flagged",
    "precision": "Precision of the flagged",
    "recall": "Recall",
    "accepted_rate": "Positive among the others",
}


def render(**content: Any) -> str:
    """The card in Markdown. It holds no date of the run, so equal results give equal cards."""
    template = environment(__package__).get_template("model_card.md.j2")
    return template.render(**content, shown=SHOWN, bounds=bounds_of)
