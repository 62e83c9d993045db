"""Retire a version, so that the next candidate need not beat it."""

from champion.core.errors import UserError
from champion.core.values import is_blank
from champion.delivery.listeners import follow
from champion.registry import standing
from champion.registry.chain import Row
from champion.registry.registry import Registry


def retire(registry: Registry, version: str, reason: str) -> Row:
    """Record that the version is never champion or challenger again. What is served stays served.

    Raises `ConflictError` when it is retired already, `NotFoundError` when there is no such version, and `UserError`
    for a blank reason.
    """
    if is_blank(reason):
        raise UserError("retiring a version needs a reason for the ledger: add --reason.")
    target = registry.resolve(version)
    with registry.ledger.appending() as session:
        standing.refuse_retired(session.rows, target.name)
        row = session.append("retire", version=target.name, model_sha256=target.model_sha256, reason=reason)
    follow(registry, row)
    return row
