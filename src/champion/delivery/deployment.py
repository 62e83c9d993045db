"""The commands that change or test what an environment serves."""

import hashlib
from typing import Any

from champion.core.errors import ConflictError, UserError
from champion.delivery.listeners import follow
from champion.delivery.smoke import SmokeReport, examine
from champion.delivery.switch import State, Switch, provide, read_state, refuse_overtaken, switch
from champion.registry import history
from champion.registry.chain import Row, breaks
from champion.registry.ledger import Appending
from champion.registry.registry import Registry
from champion.registry.served import SERVED_FILES
from champion.registry.versions import EXAMPLES_FILE, Version


def ready(registry: Registry, version: str) -> tuple[Version, SmokeReport]:
    """A version and its smoke test in the registry. Raises `UserError` when a file is missing or was changed."""
    target = registry.resolve(version)
    content, examples = (registry.read_file(target, name) for name in SERVED_FILES)
    return target, examine(content, examples, target, registry.environment.thresholds)


def deploy(registry: Registry, version: str) -> Switch:
    """Serve a registered version. Raises `ConflictError` if the environment takes only promoted versions."""
    environment = registry.environment
    if environment.promoted_from is not None:
        raise ConflictError(
            f"{environment.name} takes only versions that passed in {environment.promoted_from}: run "
            f"`champion deploy {version} --env {environment.promoted_from}`, then "
            f"`champion promote --env {environment.name}`."
        )
    state = read_state(registry)
    return switch(registry, state, "deploy", history.resolve(state.rows, version, registry.sharing))


def promote(
    registry: Registry, version: str | None = None, *, emergency: bool = False, reason: str | None = None
) -> Switch:
    """Serve the champion, if the previous environment serves it and it passed its smoke test there.

    An `emergency` needs a reason instead of these three conditions. The version is always tested in this environment's
    store before it goes live.
    """
    environment = registry.environment
    source = environment.promoted_from
    if source is None:
        raise ConflictError(f"{environment.name} takes no promotions: use `champion deploy VERSION`.")
    if emergency and not reason:
        raise UserError("an emergency needs a reason for the ledger: add --reason.")
    if source not in registry.sharing:
        raise ConflictError(
            f"{source} and {environment.name} have different ledgers, but a promotion needs the ledger of {source}. "
            "Give both the same database_url in config/environments.yaml."
        )
    state = read_state(registry)
    target = _promoted_version(registry, state, source, version)
    if not emergency:
        _refuse_unproven(state, target, source)
    now = history.live(state.rows, environment.name)
    details: dict[str, Any] = {"emergency": emergency}
    if now is None or now.version != target.name:
        provide(registry, target)
        report = _examine_served(registry, target)
        details["smoke"] = report.details()
        if not report.passed:
            with registry.ledger.appending() as session:
                failed = _append_smoke(session, registry, target, report)
            follow(registry, failed)
            raise ConflictError(
                f"the smoke test of {target.name} in {environment.name} failed: {'; '.join(report.failures)}. "
                f"{environment.name} still serves the version that it served before."
            )
    return switch(registry, state, "promote", target, reason=reason, details=details)


def rollback(registry: Registry, version: str | None = None, *, reason: str | None = None) -> Switch:
    """Serve the previous version again, or a version that the environment once served."""
    state = read_state(registry)
    return switch(registry, state, "rollback", _version_before(registry, state, version), reason=reason)


def smoke_test(registry: Registry) -> tuple[Row, SmokeReport]:
    """Test the version that the environment serves, in its own store, and record the result."""
    state, name = read_state(registry), registry.environment.name
    now = history.live(state.rows, name)
    if now is None:
        raise ConflictError(f"{name} serves nothing yet. Deploy a version first.")
    target = history.versions(state.rows)[str(now.version)]
    report = _examine_served(registry, target)
    with registry.ledger.appending() as session:
        refuse_overtaken(registry, state)
        row = _append_smoke(session, registry, target, report)
    follow(registry, row)
    return row, report


def _promoted_version(registry: Registry, state: State, source: str, version: str | None) -> Version:
    if version is not None:
        return history.resolve(state.rows, version, registry.sharing)
    staged = history.live(state.rows, source)
    if staged is None:
        raise ConflictError(f"{source} serves nothing yet: `champion deploy VERSION --env {source}` first.")
    return history.versions(state.rows)[str(staged.version)]


def _refuse_unproven(state: State, target: Version, source: str) -> None:
    staged, tested = history.live(state.rows, source), history.smoke(state.rows, source)
    if breaks(state.rows, None):
        raise ConflictError("the ledger was edited, so it proves nothing. `champion audit` says where.")
    if staged is None or staged.version != target.name:
        raise ConflictError(
            f"{target.name} is not live in {source}: `champion deploy {target.name} --env {source}` first."
        )
    if tested is None or not tested.outcome:
        how = "was not smoke tested" if tested is None else "failed its smoke test"
        raise ConflictError(f"{target.name} {how} in {source}: `champion smoke --env {source}` must pass first.")
    holder = history.champion(state.rows)
    if holder != target.name:
        raise ConflictError(
            f"{target.name} is not the champion ({holder or 'there is none'}): it must win "
            f"`champion challenge {target.name}` first."
        )


def _version_before(registry: Registry, state: State, version: str | None) -> Version:
    name = registry.environment.name
    if version is None:
        back = history.stack(state.rows, name)
        if len(back) < 2:
            first = f"{back[-1]} is its first" if back else "it serves nothing yet"
            raise ConflictError(f"{name} has no earlier version to go back to: {first}.")
        version = back[-2]
    target = history.resolve(state.rows, version, registry.sharing)
    if target.name not in history.served(state.rows, name):
        raise ConflictError(f"{target.name} was never live in {name}. A rollback needs a version that was.")
    return target


def _examine_served(registry: Registry, version: Version) -> SmokeReport:
    store = registry.store
    content, examples = (store.read(version.key(name)) for name in SERVED_FILES)
    if content is None or examples is None:
        return SmokeReport((f"{store.url}: the files of {version.name} are missing",))
    if hashlib.sha256(examples).hexdigest() != version.files[EXAMPLES_FILE]:
        return SmokeReport((f"{store.url}: the stored examples are not the registered ones",))
    return examine(content, examples, version, registry.environment.thresholds)


def _append_smoke(session: Appending, registry: Registry, version: Version, report: SmokeReport) -> Row:
    return session.append(
        "smoke",
        environment=registry.environment.name,
        version=version.name,
        model_sha256=version.model_sha256,
        reason="; ".join(report.failures) or None,
        details=report.details(),
    )
