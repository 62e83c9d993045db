"""The ledger, the registry, the stores and MLflow's aliases, held against each other."""

import hashlib
from collections.abc import Iterator

from champion.delivery.deployment import POINTER, SERVED_FILES, open_store
from champion.environments import Environment
from champion.registry import history
from champion.registry.ledger import ANCHOR, Row, breaks
from champion.registry.stores import Store
from champion.registry.versions import neighbours, open_ledger, open_registry
from champion.tracking import registry_sync as mirror


def differences(environment: Environment) -> list[str]:
    """One sentence per difference, in every environment that shares this one's ledger; empty when all agree."""
    ledger = open_ledger(environment)
    rows = ledger.rows()
    found = breaks(rows, ledger.head())
    found += _in_registry(open_registry(environment), rows)
    for other in neighbours(environment).values():
        found += _in_store(other, rows)
    return found + mirror.differences(environment, rows)


def _in_registry(registry: Store, rows: list[Row]) -> Iterator[str]:
    versions = history.versions(rows)
    expected = {
        f"{row.model_sha256}/{name}": (str(row.version), sha256)
        for row in versions.values()
        for name, sha256 in row.details["files"].items()
    }
    present = registry.keys()
    for key, (version, sha256) in expected.items():
        yield from _wrong(registry, key, version, sha256, present)
    for key in present:
        if key not in expected and key != ANCHOR:
            yield (
                f"{registry.url}/{key}: no version of the ledger has it. Register its model again if that was "
                "interrupted, else remove it."
            )


def _in_store(environment: Environment, rows: list[Row]) -> Iterator[str]:
    store, versions = open_store(environment), history.versions(rows)
    recorded, content = history.live(rows, environment.name), store.read(POINTER)
    found = Row.from_json(content) if content is not None else None
    if content is not None and found is None:
        yield f"{store.url}/{POINTER}: damaged"
    elif content != (recorded.as_json() if recorded is not None else None):
        serves = f"{found.version} (row {found.sequence})" if found is not None else "nothing"
        says = f"{recorded.version} (row {recorded.sequence})" if recorded is not None else "nothing"
        yield (
            f"{environment.name}: the store serves {serves}, the ledger says {says}. The next deploy, promote, "
            "rollback or smoke repairs what an interrupted one left."
        )
    present = store.keys()
    deployed = {str(row.version) for row in (recorded, found) if row is not None}
    expected = {
        f"{row.model_sha256}/{name}": (version, row.details["files"][name])
        for version, row in versions.items()
        for name in SERVED_FILES
    }
    for key, (version, sha256) in expected.items():
        if version in deployed or key in present:
            yield from _wrong(store, key, version, sha256, present)
    for key in present:
        if key not in expected and key != POINTER:
            yield f"{store.url}/{key}: no registered version has it. Remove it."
    if found is not None and found.version not in versions:
        yield f"{environment.name}: it serves {found.version}, sha256 {found.model_sha256}, which is not registered"


def _wrong(store: Store, key: str, version: str, sha256: str, present: list[str]) -> Iterator[str]:
    content = store.read(key) if key in present else None
    if content is None:
        yield f"{store.url}/{key}: missing, {version} needs it"
    elif (digest := hashlib.sha256(content).hexdigest()) != sha256:
        yield f"{store.url}/{key}: not the file of {version}: its sha256 is {digest}, registered was {sha256}"
