"""Comparison of the ledger, the registry, the stores and MLflow's aliases."""

import hashlib
from collections.abc import Iterator

from champion.delivery.listeners import follow
from champion.registry import history
from champion.registry.chain import HEAD, Row
from champion.registry.registry import Registry
from champion.registry.served import KEYS, POINTER, ROLLOUT, content_of, recorded
from champion.registry.stores import Store
from champion.tracking import registry_sync


def differences(registry: Registry) -> list[str]:
    """One sentence per difference, for all environments with the same ledger; empty when all agree."""
    found, rows = registry.ledger.breaks(), registry.rows
    found += _in_registry(registry.files, rows)
    for other in registry.sharing.values():
        found += _in_store(registry.of(other), rows)
    return found + registry_sync.differences(registry, rows)


def accept_breaks(registry: Registry, reason: str) -> Row:
    """Record that a person accepts every break of the ledger. Raises `ConflictError` when there is no break."""
    row = registry.ledger.accept_breaks(reason, registry_sync.breaks(registry, registry.rows))
    follow(registry, row)
    return row


def _in_registry(files: Store, rows: list[Row]) -> Iterator[str]:
    expected = {
        version.key(file): (version.name, sha256)
        for version in history.versions(rows).values()
        for file, sha256 in version.files.items()
    }
    present = files.keys()
    for key, (version, sha256) in expected.items():
        yield from _wrong(files, key, version, sha256, present)
    for key in present:
        if key not in expected and key != HEAD:
            yield (
                f"{files.url}/{key}: no version in the ledger has this file. If a registration was interrupted, "
                "register the model again; else remove the file."
            )


def _in_store(registry: Registry, rows: list[Row]) -> Iterator[str]:
    store, name, versions = registry.store, registry.environment.name, history.versions(rows)
    truth = recorded(rows, name)
    live, content = truth[POINTER], store.read(POINTER)
    found = Row.from_json(content)
    if content is not None and found is None:
        yield f"{store.url}/{POINTER}: damaged"
    elif content != content_of(live):
        yield (
            f"{name}: the store serves {_told(found)}, but the ledger says {_told(live)}. If a command was "
            "interrupted, the next deploy, promote, rollback or smoke repairs this."
        )
    for file, what in ((ROLLOUT, "rollout"), (KEYS, "API keys")):
        row = truth[file]
        if store.read(file) != content_of(row):
            yield (
                f"{store.url}/{file}: it is not the ledger's last row about the {what} of {name}. The next deploy, "
                "promote, rollback, smoke, rollout or keys corrects it."
            )
    present = store.keys()
    deployed = {str(row.version) for row in (live, found) if row is not None}
    if (active := history.active_rollout(rows, name)) is not None:
        deployed |= set(active.details["versions"])
    # Versions can share a file. A deployed one needs it, so it comes last and counts.
    ordered = sorted(versions.values(), key=lambda version: version.name in deployed)
    expected = {
        version.key(file): (version.name, sha256) for version in ordered for file, sha256 in version.served.items()
    }
    for key, (version, sha256) in expected.items():
        if version in deployed or key in present:
            yield from _wrong(store, key, version, sha256, present)
    for key in present:
        if key not in expected and key not in truth:
            yield f"{store.url}/{key}: no registered version has this file. Remove it."
    known = versions.get(str(found.version)) if found is not None else None
    if found is not None and (known is None or known.model_sha256 != found.model_sha256):
        yield f"{name}: the store serves {found.version}, sha256 {found.model_sha256}, which is not registered"


def _told(pointer: Row | None) -> str:
    return f"{pointer.version} (row {pointer.sequence}, {pointer.short_hash})" if pointer is not None else "nothing"


def _wrong(store: Store, key: str, version: str, sha256: str, present: list[str]) -> Iterator[str]:
    content = store.read(key) if key in present else None
    if content is None:
        yield f"{store.url}/{key}: missing, but {version} needs it"
    elif (digest := hashlib.sha256(content).hexdigest()) != sha256:
        yield f"{store.url}/{key}: its sha256 is {digest}, but {version} was registered with {sha256}"
