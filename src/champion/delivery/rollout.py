"""A rollout: some users get another version than the live one, or another version scores in the shadow.

It holds only for the live version that it was based on. So a promotion, a deployment and a rollback end it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from champion.core.errors import ConflictError, NotFoundError, UnavailableError, UserError
from champion.core.strict_yaml import did_you_mean
from champion.delivery.deployment import refuse_other_ledger, refuse_unproven
from champion.delivery.findings import refuse_findings
from champion.delivery.listeners import follow
from champion.delivery.proof import prove_here
from champion.delivery.state import State, read_state
from champion.delivery.switch import Check, Switch, provide, switch_file
from champion.flags import Flags, read_definitions, with_share
from champion.registry import history, rollouts, standing
from champion.registry.chain import UNRECORDED, Row
from champion.registry.registry import Registry
from champion.registry.served import ROLLOUT, read_pointer
from champion.registry.versions import Version

FLAG = "new_model"


def roll_out(registry: Registry, version: str, percent: float, flag: str = FLAG, reason: str | None = None) -> Switch:
    """Send this percent of users to the version. Other flags and the shadow stay.

    The version is one that `champion promote` would take here (`champion deploy`, where that is how versions come), or
    one that was live here. Raises `ConflictError` for another one, or when another command was faster.
    """
    state = read_state(registry)
    live, target = _live_and_target(registry, state, version)
    _refuse_unfit(registry, state.rows, target)
    definitions = _definitions(registry, flag)
    active = history.active_rollout(state.rows, registry.environment.name)
    shares = {} if active is None else rollouts.shares(active)
    # It refuses a wrong percent before anything is written.
    with_share(definitions, flag, percent, target.name)
    if shares.get(flag) == (percent, target.name) and active is not None:
        provide(registry, target)
        return Switch(active, changed=False)
    report = prove_here(registry, target)
    beside = None if active is None else rollouts.shadow(active)
    details = _details(registry, state, live, definitions, shares | {flag: (percent, target.name)}, beside)
    details |= {"flag": flag, "smoke": report.details()}
    # The test took a while, and another command may have ended the proof.
    return _switch(registry, state, live, target, details, reason, lambda rows: _refuse_unfit(registry, rows, target))


def shadow(registry: Registry, version: str, reason: str | None = None) -> Switch:
    """Let the version score all rows, while the live one answers. The flags of the active rollout stay.

    It may be any registered version that passes its smoke test, because nobody gets its answers. Raises `ConflictError`
    when it fails, or cannot read the rows of the live version, or when another command was faster.
    """
    state = read_state(registry)
    live, target = _live_and_target(registry, state, version)
    active = history.active_rollout(state.rows, registry.environment.name)
    if active is not None and rollouts.shadow(active) == target.name:
        provide(registry, target)
        return Switch(active, changed=False)
    report = prove_here(registry, target)
    shares = {} if active is None else rollouts.shares(active)
    details = _details(registry, state, live, _definitions(registry), shares, target.name)
    return _switch(registry, state, live, target, {**details, "smoke": report.details()}, reason)


def stop(registry: Registry, reason: str | None = None, *, unsound: str | None = None) -> Switch:
    """End all flags and the shadow, so that the live version answers everybody.

    It continues when the ledger is broken, lost or unreachable, and when another command was faster. Without a
    decision of a person, it stops only a rollout of the version that a server found `unsound`, and leaves a finding on
    it if users got it.
    """
    try:
        return _stop(registry, reason, unsound)
    except (ConflictError, UnavailableError) as hindrance:
        return _stop_in_store(registry, reason, hindrance, unsound)


def _stop(registry: Registry, reason: str | None, unsound: str | None) -> Switch:
    state, name = read_state(registry, despite_breaks=True), registry.environment.name
    live, last = history.live(state.rows, name), history.rollout(state.rows, name)
    # While the ledger is broken, the store may say something else, and a server follows the store.
    active = next((row for row in (Row.from_json(state.files[ROLLOUT]), last) if rollouts.is_active(row, live)), None)
    if live is None or active is None or not _concerns(active, unsound):
        return _nothing_on(registry, live)
    row = switch_file(
        registry,
        state,
        ROLLOUT,
        rollouts.ROLL_OUT,
        version=rollouts.first(active),
        from_version=live.version,
        reason=reason,
        details=rollouts.stopped(active, unsound),
    )
    return Switch(row, changed=True)


def _stop_in_store(registry: Registry, reason: str | None, hindrance: UserError, unsound: str | None) -> Switch:
    """The same without the ledger: the store alone says so, and a later command records it."""
    environment, store = registry.environment, registry.store
    live, active = read_pointer(environment), Row.from_json(store.read(ROLLOUT))
    if live is None or active is None or not rollouts.is_active(active, live) or not _concerns(active, unsound):
        return _nothing_on(registry, live)
    row = registry.ledger.make_row(
        UNRECORDED,
        active.hash,
        rollouts.ROLL_OUT,
        environment=environment.name,
        version=rollouts.first(active),
        from_version=live.version,
        reason=reason,
        details={**rollouts.stopped(active, unsound), "emergency": True, "outage": str(hindrance)},
    )
    store.write(ROLLOUT, row.as_json())
    follow(registry, row)
    return Switch(row, changed=True, note="not in the ledger yet; the next command records it")


def _concerns(active: Row, unsound: str | None) -> bool:
    """Whether to stop the rollout: one of another version may have come since a server found this one unsound."""
    return unsound is None or unsound in active.details["versions"]


def _nothing_on(registry: Registry, live: Row | None) -> Switch:
    if live is None:
        raise ConflictError(f"{registry.environment.name} serves nothing yet, so there is nothing to stop.")
    return Switch(live, changed=False, note="no rollout is on")


def _live_and_target(registry: Registry, state: State, version: str) -> tuple[Row, Version]:
    """The row of the live version, and another version that servers can use beside it, or `ConflictError`."""
    name = registry.environment.name
    live = history.live(state.rows, name)
    if live is None:
        raise ConflictError(f"{name} serves nothing yet. Deploy a version first.")
    target = standing.resolve(state.rows, version, registry.sharing)
    if target.name == live.version:
        raise ConflictError(f"{target.name} is the live version of {name}. Roll another version out.")
    target.require_onnx()
    # One request is answered by either of them. Values may differ: what a version does not know, it treats as missing,
    # as in its training, and each refresh knows other values.
    ours, theirs = (_fields(one) for one in (target, history.versions(state.rows)[str(live.version)]))
    if differing := sorted(field for field in ours | theirs if ours.get(field) != theirs.get(field)):
        raise ConflictError(
            f"{target.name} and {live.version}, which {name} serves, have other fields: {', '.join(differing)}. The "
            "same request must suit both: choose a version with the same names and types of features."
        )
    return live, target


def _fields(version: Version) -> dict[str, str]:
    """The type of each column that a request needs: the features, and what a rule for excluded rows reads besides."""
    columns = version.params.get("columns", {})
    rules = version.params.get("ingest", {}).get("exclude") or {}
    read = {name: str(columns.get(name, {}).get("type")) for rule in rules.values() for name in rule}
    return read | {feature["name"]: feature["type"] for feature in version.features}


def _refuse_unfit(registry: Registry, rows: list[Row], target: Version) -> None:
    """Raise `ConflictError` for a version that the environment would not take, and that was never live there."""
    refuse_findings(registry, rows, target)
    source = registry.environment.promoted_from
    if target.name in history.served(rows, registry.environment.name):
        standing.refuse_retired(rows, target.name)
    elif source is not None:
        refuse_other_ledger(registry, source)
        refuse_unproven(rows, target, source)


def _definitions(registry: Registry, flag: str | None = None) -> dict[str, Any]:
    path = Path(registry.environment.flags)
    document = read_definitions(path)
    if flag is not None and flag not in document["flags"]:
        known = document["flags"]
        where = registry.environment.settings.flags
        raise NotFoundError(
            f"there is no flag {flag!r} in {where}{did_you_mean(flag, known)}. Choose one of {', '.join(known)}."
        )
    return document


def _details(
    registry: Registry,
    state: State,
    live: Row,
    definitions: Mapping[str, Any],
    shares: Mapping[str, tuple[float, str]],
    shadow: str | None,
) -> dict[str, Any]:
    """The details of a row about a rollout. `shares` are percent and version by flag."""
    active = history.active_rollout(state.rows, registry.environment.name)
    kept = {} if active is None else active.details["flags"]["flags"]
    # A flag that is on stays, also when this clone does not define it.
    document = {"flags": {**{flag: kept[flag] for flag in shares if flag in kept}, **definitions["flags"]}}
    for flag, (percent, version) in shares.items():
        document = with_share(document, flag, percent, version)
    Flags.parse(document).close()
    known = history.versions(state.rows)
    names = dict.fromkeys([*(version for _, version in shares.values()), *([shadow] if shadow else [])])
    return {
        "base": live.hash,
        "flags": document,
        "percents": {flag: percent for flag, (percent, _) in shares.items()},
        "versions": {name: known[name].models for name in names},
        "shadow": shadow,
        "automatic": False,
        "ended": {},
    }


def _switch(
    registry: Registry,
    state: State,
    live: Row,
    target: Version,
    details: Mapping[str, Any],
    reason: str | None,
    check: Check | None = None,
) -> Switch:
    row = switch_file(
        registry,
        state,
        ROLLOUT,
        rollouts.ROLL_OUT,
        version=target.name,
        from_version=live.version,
        model_sha256=target.model_sha256,
        reason=reason,
        details=details,
        check=check,
    )
    return Switch(row, changed=True)
