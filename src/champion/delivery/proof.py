"""The proof that a version works where it is served: a smoke test of the files in a store, which the ledger records."""

import hashlib

from champion.core.errors import ConflictError
from champion.delivery.listeners import follow
from champion.delivery.smoke import SmokeReport, examine
from champion.delivery.state import read_state, refuse_overtaken
from champion.delivery.switch import provide
from champion.registry import history, standing
from champion.registry.chain import Row
from champion.registry.ledger import Appending
from champion.registry.registry import Registry
from champion.registry.versions import Version


def ready(registry: Registry, version: str) -> tuple[Version, SmokeReport]:
    """A version and its smoke test in the registry. Raises `UserError` when a file is missing or was changed."""
    target = registry.resolve(version)
    files = {name: registry.read_file(target, name) for name in target.served}
    return target, examine(files, target, registry.environment.thresholds)


def prove_here(registry: Registry, target: Version, *, emergency: bool = False) -> SmokeReport:
    """Copy the version to the environment's store and test it there.

    Raises `ConflictError` when it fails, and records that. In an emergency it may be slow.
    """
    provide(registry, target)
    report = examine_served(registry, target)
    # A busy machine makes a good model slow, and an outage cannot wait.
    if report.wrong or (report.slow and not emergency):
        with registry.ledger.appending() as session:
            failed = _append_smoke(session, registry, target, report)
        follow(registry, failed)
        name = registry.environment.name
        raise ConflictError(
            f"the smoke test of {target.name} in {name} failed: {'; '.join(report.failures)}. What {name} serves has "
            "not changed."
        )
    return report


def smoke_test(registry: Registry, version: str | None = None) -> tuple[Row, SmokeReport]:
    """Test the version that the environment serves, in its own store, and record the result.

    Raises `ConflictError` when it serves another one than `version`.
    """
    state, name = read_state(registry), registry.environment.name
    now = history.live(state.rows, name)
    if now is None:
        raise ConflictError(f"{name} serves nothing yet. Deploy a version first.")
    target = history.versions(state.rows)[str(now.version)]
    if version is not None and (wanted := standing.resolve(state.rows, version, registry.sharing)).name != target.name:
        raise ConflictError(
            f"{name} serves {target.name}, not {wanted.name}: {now.action} by {now.actor}, ledger row {now.sequence}. "
            "Nothing was tested."
        )
    registry.ledger.begin()
    report = examine_served(registry, target)
    with registry.ledger.appending() as session:
        refuse_overtaken(registry, state)
        row = _append_smoke(session, registry, target, report)
    follow(registry, row)
    return row, report


def record_refusal(registry: Registry, version: Version, report: SmokeReport) -> None:
    """Record that a server refused the version that the environment has, unless a failed test is recorded already."""
    with registry.ledger.appending() as session:
        name = registry.environment.name
        last = next((row for row in reversed(session.rows) if row.environment == name and row.action == "smoke"), None)
        if last is not None and last.version == version.name and last.outcome is False:
            return
        row = _append_smoke(session, registry, version, report)
    follow(registry, row)


def examine_served(registry: Registry, version: Version) -> SmokeReport:
    """The report of a smoke test of the version's files in the environment's own store."""
    store, files = registry.store, {}
    for name, sha256 in version.served.items():
        content = store.read(version.key(name))
        if content is None:
            return SmokeReport((f"{store.url}/{version.key(name)} is missing",))
        # The test itself checks the hashes of the models.
        if name not in version.models and hashlib.sha256(content).hexdigest() != sha256:
            return SmokeReport((f"{store.url}/{version.key(name)} is not the registered file",))
        files[name] = content
    return examine(files, version, registry.environment.thresholds)


def _append_smoke(session: Appending, registry: Registry, version: Version, report: SmokeReport) -> Row:
    return session.append(
        "smoke",
        environment=registry.environment.name,
        version=version.name,
        model_sha256=version.model_sha256,
        reason="; ".join(report.failures) or None,
        details=report.details(),
    )
