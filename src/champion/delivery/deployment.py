"""The commands that change what an environment serves, and those that test it."""

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
    """A version and the report of its smoke test in the registry. Raises `UserError` when its files are not right."""
    target = registry.resolve(version)
    content, examples = (registry.read_file(target, name) for name in SERVED_FILES)
    return target, examine(content, examples, target, registry.environment.thresholds)


def deploy(registry: Registry, version: str) -> Switch:
    """Serve a registered version. Raises `ConflictError` where versions come by promotion only."""
    environment = registry.environment
    if environment.promoted_from is not None:
        raise ConflictError(
            f"{environment.name} takes only what passed in {environment.promoted_from}: "
            f"`champion deploy {version} --env {environment.promoted_from}`, then "
            f"`champion promote --env {environment.name}`."
        )
    state = read_state(registry)
    return switch(registry, state, "deploy", history.resolve(state.rows, version, registry.sharing))


def promote(
    registry: Registry, version: str | None = None, *, emergency: bool = False, reason: str | None = None
) -> Switch:
    """Serve what passed in the environment before this one: live there, smoke tested, and champion.

    `emergency` asks for none of the three, but for a reason. Before it goes live the version is tested in this
    environment's own store; in an emergency, one that only answers late goes live too, and its row says so.
    """
    environment = registry.environment
    source = environment.promoted_from
    if source is None:
        raise ConflictError(f"nothing is promoted to {environment.name}: use `champion deploy VERSION`.")
    if emergency and not reason:
        raise UserError("an emergency needs a reason: add --reason, it goes into the ledger.")
    if source not in registry.sharing:
        raise ConflictError(
            f"{source} and {environment.name} have different databases: a promotion reads in the ledger what passed. "
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
        # Of a busy machine, not of the model: an outage does not wait for it.
        if report.wrong or (report.slow and not emergency):
            with registry.ledger.appending() as session:
                failed = _append_smoke(session, registry, target, report)
            follow(registry, failed)
            raise ConflictError(
                f"the smoke test of {target.name} in {environment.name} failed: {'; '.join(report.failures)}. What was "
                "live there still is."
            )
    return switch(registry, state, "promote", target, reason=reason, details=details)


def rollback(registry: Registry, version: str | None = None, *, reason: str | None = None) -> Switch:
    """Serve again what the environment served before, or a version that it once served."""
    state = read_state(registry)
    return switch(registry, state, "rollback", _version_before(registry, state, version), reason=reason)


def smoke_test(registry: Registry) -> tuple[Row, SmokeReport]:
    """Test what the environment serves, in its own store, and record the result, passed or not."""
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
        raise ConflictError("the ledger was tampered with, so it proves nothing. `champion audit` says where.")
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
            raise ConflictError(f"{name} has no version to go back to: {back[-1] if back else 'none'} is the first.")
        version = back[-2]
    target = history.resolve(state.rows, version, registry.sharing)
    if target.name not in history.served(state.rows, name):
        raise ConflictError(f"{target.name} was never live in {name}: a rollback goes back only.")
    return target


def _examine_served(registry: Registry, version: Version) -> SmokeReport:
    store = registry.store
    content, examples = (store.read(version.key(name)) for name in SERVED_FILES)
    if content is None or examples is None:
        return SmokeReport((f"{store.url}: the files of {version.name} are not there",))
    if hashlib.sha256(examples).hexdigest() != version.files[EXAMPLES_FILE]:
        return SmokeReport((f"{store.url}: the stored examples are not those that were registered",))
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
