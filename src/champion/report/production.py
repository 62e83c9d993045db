"""What production serves, as the ledger says, and whether its metrics can be compared with those of a change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from champion.core.errors import UserError
from champion.core.layout import TEST
from champion.environments import FILE, load_environments
from champion.repository.revision import Revision

ENVIRONMENT = "production"


@dataclass(frozen=True)
class Production:
    """The version that production serves, with its metrics of the test; else `unknown` says why not to compare it."""

    name: str = ""
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    unknown: str = ""


def production(head: Revision) -> Production:
    """What production serves, if it was judged on the test rows of the head. Without access it raises nothing.

    It only reads the ledger's database: a role that may do nothing else is enough.
    """
    from champion.registry import history
    from champion.registry.chain import breaks
    from champion.registry.registry import Registry

    try:
        environment = load_environments(head.root).get(ENVIRONMENT)
        if environment is None:
            return Production(unknown=f"{FILE} has no environment {ENVIRONMENT!r}")
        rows = Registry.open(environment).rows
    except UserError as error:
        return Production(unknown=str(error))
    found = breaks(rows, None, environment.ledger_public_keys)
    if found:
        return Production(unknown=f"the ledger cannot be trusted: {found[0]}")
    row = history.live(rows, ENVIRONMENT)
    if row is None:
        return Production(unknown="it serves nothing yet")
    version = history.versions(rows)[str(row.version)]
    if version.lineage.get(str(TEST)) != head.hashes.get(str(TEST), ""):
        return Production(unknown=f"{version.name}, which it serves, was judged on other test rows")
    return Production(version.name, version.metrics)
