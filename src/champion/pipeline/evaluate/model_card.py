"""The model card: what the model is, from which data, how good, and where it must not be trusted."""

from collections.abc import Mapping
from typing import Any

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
    """The card in Markdown. It holds no date of the run: equal results give equal cards."""
    sections = [
        "# Model card",
        _intended(schema, training),
        "## Data\n\n" + _data(schema),
        "## Features\n\n" + _features(schema),
        "## Held-out metrics\n\n" + _metrics(metrics),
        "## Gates\n\n" + _gates(verdicts),
        "## Limits\n\n" + _limits(schema, training, metrics, worst),
        "## Lineage\n\n" + "\n".join(f"- `{name}` sha256 `{value}`" for name, value in sorted(hashes.items())),
    ]
    return "\n\n".join(sections) + "\n"


def _intended(schema: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    within = f" within {schema['horizon_months']} months" if schema["horizon_months"] else ""
    recipe = training["recipe"][0]
    chosen = ", ".join(f"{one['param']} {one['value']}" for one in recipe["chosen"])
    search = f", parameters chosen by {recipe['search']} search: {chosen}" if chosen else ""
    return (
        f"A `{recipe['estimator']}` classifier{search}. It gives the probability that a row is positive{within}, "
        "from what is known when the row is made. It ranks and prices risk; it explains no single decision."
    )


def _data(schema: Mapping[str, Any]) -> str:
    lines = ["| split | rows | positive | from | to |", "|---|---:|---:|---|---|"]
    for name in ("train", "test"):
        side = schema[name]
        share = side["positives"] / side["rows"]
        lines.append(f"| {name} | {side['rows']:,} | {share:.2%} | {side.get('first', '')} | {side.get('last', '')} |")
    strategy = "the last months of the window" if schema["strategy"] == "out_of_time" else "a stratified random share"
    built = f"Built as of {schema['as_of']}, seeing nothing later. " if schema["as_of"] else ""
    return f"{built}The test split is {strategy}; no model saw it.\n\n" + "\n".join(lines)


def _features(schema: Mapping[str, Any]) -> str:
    return ", ".join(f"`{feature['name']}` ({feature['type']})" for feature in schema["features"])


def _metrics(metrics: Mapping[str, Any]) -> str:
    lines = ["| metric | value | 95% interval |", "|---|---:|---|"]
    for name, title in SHOWN.items():
        ends = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        interval = f"{_number(ends[0])} to {_number(ends[1])}" if None not in ends else ""
        lines.append(f"| {title} | {_number(metrics[name])} | {interval} |")
    return "\n".join(lines) + f"\n\nRows are called positive from a probability of {_number(metrics['threshold'])} up."


def _gates(verdicts: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| gate | value | bounds | margin | verdict |", "|---|---:|---|---:|---|"]
    for name, verdict in sorted(verdicts.items()):
        bounds = " and ".join(f"{key} {verdict[key]:g}" for key in ("min", "max") if verdict[key] is not None)
        passed = "pass" if verdict["passed"] else "**fail**"
        lines.append(f"| `{name}` | {_number(verdict['value'])} | {bounds} | {_number(verdict['margin'])} | {passed} |")
    return "\n".join(lines)


def _limits(
    schema: Mapping[str, Any], training: Mapping[str, Any], metrics: Mapping[str, Any], worst: Mapping[str, Any] | None
) -> str:
    train_share = schema["train"]["positives"] / schema["train"]["rows"]
    lines = [
        f"- Positives are {train_share:.2%} of the training rows and {metrics['base_rate']:.2%} of the held-out ones; "
        f"the mean predicted probability there is {metrics['mean_probability']:.2%}. Do not read probabilities as "
        "rates when these differ.",
        f"- Cross-validated ROC AUC on training rows is {training['roc_auc']:.3f}; the "
        f"held-out {metrics['roc_auc']:.3f} is what to expect of new rows, until behaviour changes again.",
    ]
    if worst is not None:
        lines.append(
            f"- The worst segment is `{worst['segment']}` = {worst['value']}: ROC AUC {_number(worst['roc_auc'])} on "
            f"{worst['rows']:,} rows."
        )
    lines.append("- A category not seen in training counts as missing.")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:.4f}"
