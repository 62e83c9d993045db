"""The open findings about a version: with one, it is not promoted before a person clears it."""

from collections.abc import Iterable

from champion.core.errors import ConflictError, UserError
from champion.core.values import is_blank
from champion.delivery.listeners import follow
from champion.registry import standing
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.versions import Version


def findings_of(registry: Registry, rows: Iterable[Row], version: str) -> list[Row]:
    """The open findings about the version in the environments that take promotions, oldest first."""
    promoted = [name for name, one in registry.sharing.items() if one.promoted_from is not None]
    return standing.open_findings(rows, version, promoted)


def describe(finding: Row) -> str:
    """An open finding in a few words: what happened, where, in which row, and why."""
    what = {"smoke": "failed its smoke test", "rollback": "was rolled back automatically"}.get(
        finding.action, "had its rollout stopped automatically"
    )
    return f"it {what} in {finding.environment} (ledger row {finding.sequence}: {finding.reason})"


def refuse_findings(registry: Registry, rows: list[Row], target: Version) -> None:
    """Raise `ConflictError` when the version has an open finding."""
    findings = findings_of(registry, rows, target.name)
    if findings:
        raise ConflictError(
            f"{target.name} has an open finding: {describe(findings[-1])}. When you know the cause, run `champion "
            f"clear {target.name} --reason WHY`. Then {target.name} can be promoted."
        )


def clear(registry: Registry, version: str, reason: str) -> Row:
    """Record that the version's open findings are understood, so that it may be promoted again.

    Raises `ConflictError` when it has no open findings, and `UserError` for a blank reason.
    """
    if is_blank(reason):
        raise UserError("clearing a finding needs a reason for the ledger: add --reason.")
    target = registry.resolve(version)
    with registry.ledger.appending() as session:
        findings = findings_of(registry, session.rows, target.name)
        if not findings:
            raise ConflictError(f"{target.name} has no open finding, so there is nothing to clear.")
        row = session.append(
            "clear",
            version=target.name,
            model_sha256=target.model_sha256,
            reason=reason,
            details={"findings": [describe(finding) for finding in findings]},
        )
    follow(registry, row)
    return row
