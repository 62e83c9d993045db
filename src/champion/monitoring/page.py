"""Drift as one HTML file, which needs no other file and runs no script."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from champion.monitoring.drift import CHANGED_PSI, Drift
from champion.monitoring.joint import JointDrift
from champion.monitoring.wording import (
    describe_joint,
    describe_p_value,
    describe_share,
    describe_unnamed,
    describe_verdict,
)


def render(title: str, told: str, drift: Drift, joint: JointDrift | None, no_joint: str | None) -> str:
    """The page. `told` says which rows are compared with what, and `no_joint` why there is no joint drift."""
    environment = Environment(
        loader=PackageLoader("champion.monitoring"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda value: f"{value:,}",
        "p_value": describe_p_value,
        "share": describe_share,
        "verdict": describe_verdict,
        "unnamed": describe_unnamed,
        "psi": lambda psi: "none" if psi is None else f"{psi:.3f}",
        "width": lambda share: f"{100 * (share or 0):.2f}%",
    }
    return environment.get_template("drift.html.j2").render(
        title=title, told=told, drift=drift, joint=describe_joint(joint, no_joint), changed=CHANGED_PSI
    )
