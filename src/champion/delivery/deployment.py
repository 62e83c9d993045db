"""The commands that change the version that an environment serves."""

from typing import Any

from champion.core.errors import ConflictError, UnavailableError, UserError
from champion.core.values import is_blank
from champion.delivery.findings import describe, findings_of, refuse_findings
from champion.delivery.proof import prove_here
from champion.delivery.state import State, read_state
from champion.delivery.switch import Switch, go_back_in_outage, switch
from champion.registry import history, standing
from champion.registry.chain import Row, breaks
from champion.registry.registry import Registry
from champion.registry.versions import Version


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
    return switch(registry, state, "deploy", standing.resolve(state.rows, version, registry.sharing))


def promote(
    registry: Registry, version: str | None = None, *, emergency: bool = False, reason: str | None = None
) -> Switch:
    """Serve the champion, if the previous environment serves it and it passed its smoke test there.

    A version with an open finding is refused. `emergency` asks for nothing of this but a reason; the row then names the
    open findings. Before it goes live the version is tested in this environment's own store; in an emergency a model
    that is only slow passes, and the row says so.
    """
    environment = registry.environment
    source = environment.promoted_from
    if source is None:
        raise ConflictError(f"{environment.name} takes no promotions: use `champion deploy VERSION`.")
    if emergency and is_blank(reason or ""):
        raise UserError("an emergency needs a reason for the ledger: add --reason.")
    refuse_other_ledger(registry, source)
    state = read_state(registry)
    target = _promoted_version(registry, state, source, version)
    findings = [describe(row) for row in findings_of(registry, state.rows, target.name)]

    def check(rows: list[Row]) -> None:
        refuse_unproven(rows, target, source)
        refuse_findings(registry, rows, target)

    if not emergency:
        check(state.rows)
    now = history.live(state.rows, environment.name)
    details: dict[str, Any] = {"emergency": emergency} | ({"open_findings": findings} if findings else {})
    if now is None or now.version != target.name:
        details["smoke"] = prove_here(registry, target, emergency=emergency).details()
    # The test took a while, and another command may have ended the proof.
    still = None if emergency else check
    return switch(registry, state, "promote", target, reason=reason, details=details, check=still)


def rollback(
    registry: Registry,
    version: str | None = None,
    *,
    emergency: bool = False,
    reason: str | None = None,
    automatic: bool = False,
) -> Switch:
    """Serve the previous version again, or a version that the environment once served.

    An `automatic` rollback, without a decision of a person, leaves a finding on the version that it replaces. An
    `emergency` needs a reason, and continues when the ledger is broken or unreachable. If the last action there was
    already a step back, it is repeated only if a version is named, because an interrupted command may have made it.
    """
    if emergency and is_blank(reason or ""):
        raise UserError("an emergency needs a reason for the ledger: add --reason.")
    details = ({"automatic": True} if automatic else {}) | ({"emergency": True} if emergency else {})
    try:
        return _roll_back(registry, version, reason, details, despite_breaks=emergency)
    except UnavailableError as outage:
        if not emergency:
            raise
        return go_back_in_outage(registry, version, reason, outage)


def _roll_back(
    registry: Registry, version: str | None, reason: str | None, details: dict[str, Any], *, despite_breaks: bool
) -> Switch:
    state, name = read_state(registry, despite_breaks=despite_breaks), registry.environment.name
    done = history.step_back(state.rows, name) if version is None else None
    if done is not None:
        versions = history.stack(state.rows, name)
        further = f"; `--to {versions[-2]}` goes further back" if len(versions) > 1 else ""
        note = f"{done.action} from {done.from_version} by {done.actor}, ledger row {done.sequence}{further}"
        return Switch(done, changed=False, note=note)
    target = _version_before(registry, state, version)
    return switch(registry, state, "rollback", target, reason=reason, details=details)


def _promoted_version(registry: Registry, state: State, source: str, version: str | None) -> Version:
    if version is not None:
        return standing.resolve(state.rows, version, registry.sharing)
    staged = history.live(state.rows, source)
    if staged is None:
        raise ConflictError(f"{source} serves nothing yet: run `champion deploy VERSION --env {source}` first.")
    return history.versions(state.rows)[str(staged.version)]


def refuse_other_ledger(registry: Registry, source: str) -> None:
    """Raise `ConflictError` when the environment before has a ledger of its own."""
    if source not in registry.sharing:
        raise ConflictError(
            f"{source} and {registry.environment.name} have different ledgers, but a promotion needs the ledger of "
            f"{source}. Give both the same database_url in config/environments.yaml."
        )


def refuse_unproven(rows: list[Row], target: Version, source: str) -> None:
    """Raise `ConflictError` unless it is the champion, and the environment before serves it and tested it."""
    staged, tested = history.live(rows, source), history.smoke(rows, source)
    if breaks(rows, None):
        raise ConflictError("the ledger was edited, so it proves nothing. `champion audit` says where.")
    if staged is None or staged.version != target.name:
        raise ConflictError(
            f"{target.name} is not live in {source}: run `champion deploy {target.name} --env {source}` first."
        )
    if tested is None or not tested.outcome:
        how = "was not smoke tested" if tested is None else "failed its smoke test"
        raise ConflictError(f"{target.name} {how} in {source}: `champion smoke --env {source}` must pass first.")
    standing.refuse_retired(rows, target.name)
    holder = standing.champion(rows)
    if holder != target.name:
        raise ConflictError(
            f"{target.name} is not the champion ({holder or 'nobody'} is): it must win "
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
    target = standing.resolve(state.rows, version, registry.sharing)
    if target.name not in history.served(state.rows, name):
        raise ConflictError(f"{target.name} was never live in {name}. A rollback needs a version that was.")
    return target
