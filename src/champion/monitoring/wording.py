"""Drift in words, for the command and its page."""

from collections.abc import Iterator

from champion.monitoring.column_drift import ColumnDrift
from champion.monitoring.joint import JointDrift


def describe_p_value(p_value: float | None) -> str:
    """A p-value, rounded."""
    if p_value is None:
        return "none"
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def describe_share(share: float | None) -> str:
    """A share in percent."""
    return "none" if share is None else f"{100 * share:.1f}%"


def describe_verdict(drifted: bool | None) -> str:
    """A verdict in words."""
    return {None: "no verdict", True: "drifted", False: "not drifted"}[drifted]


def describe_unnamed(column: ColumnDrift) -> str:
    """How many values the reference does not name: none of its own if it names all, else also rare ones."""
    if column.unnamed is None:
        return ""
    if column.names_all:
        return f"{describe_share(column.unnamed)} new"
    return f"{describe_share(column.unnamed)} rare or new, before {describe_share(column.unnamed_before)} rare"


def describe_joint(joint: JointDrift | None, no_joint: str | None) -> Iterator[str]:
    """Joint drift in sentences."""
    if joint is None:
        yield f"no joint drift: {no_joint}"
        return
    yield (
        f"joint drift: a classifier tells these rows from the reference's with a ROC AUC of {joint.roc_auc:.3f} "
        f"[{joint.low:.3f}, {joint.high:.3f}]; 0.5 is chance, 1 is certainty"
    )
    if joint.importance:
        used = ", ".join(f"{name} ({drop:.3f})" for name, drop in joint.importance.items())
        yield f"it used most, by the loss of ROC AUC without them: {used}"
