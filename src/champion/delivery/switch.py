"""The switch: an environment changes its version, its rollout or its API keys in one step, and the ledger records it.

During a switch, only this process may append to the ledger. It writes the row, replaces the file of the store that is a
copy of it, and commits the row. If the process is killed before the commit, the ledger does not know the new file, and
the next command makes both agree.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from champion.core.errors import UnavailableError, UserError
from champion.core.values import escaped
from champion.delivery.listeners import follow
from champion.delivery.state import State, refuse_overtaken
from champion.registry import history
from champion.registry.chain import UNRECORDED, Row
from champion.registry.registry import Registry
from champion.registry.served import POINTER, ROLLOUT, origin, read_pointer
from champion.registry.versions import MODEL_FILE, Version

# It raises an error if the rows no longer allow the switch.
Check = Callable[[list[Row]], None]


@dataclass(frozen=True)
class Switch:
    """The result of a command: the row of the live version, and whether this command made it live.

    `note` says what else a person should know, for example that an earlier command had already done it.
    """

    row: Row
    changed: bool
    note: str | None = None


def switch(
    registry: Registry,
    state: State,
    action: str,
    target: Version,
    *,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
    check: Check | None = None,
) -> Switch:
    """Serve the version, unless the environment already serves it.

    Raises `ConflictError` when another command was faster, and `UserError` when a store or the ledger fails; in both
    cases the environment still serves its old version.
    """
    provide(registry, target)
    now = history.live(state.rows, registry.environment.name)
    if now is not None and now.version == target.name:
        return Switch(now, changed=False)
    row = switch_file(
        registry,
        state,
        POINTER,
        action,
        version=target.name,
        from_version=now.version if now is not None else None,
        model_sha256=target.model_sha256,
        reason=reason,
        details={**(details or {}), "models": target.models, **origin(now)},
        check=check,
    )
    return Switch(row, changed=True)


def switch_file(
    registry: Registry,
    state: State,
    file: str,
    action: str,
    *,
    details: Mapping[str, Any],
    check: Check | None = None,
    **fields: Any,
) -> Row:
    """Append a row and make the file of the environment's store a copy of it, both or neither.

    `check` sees the rows while nobody else can append one. Raises what it raises, `ConflictError` when another command
    was faster, and `UserError` when the store or the ledger fails; in each case the file is as before.
    """
    environment, store = registry.environment, registry.store
    written = None
    try:
        with registry.ledger.appending(despite_breaks=state.despite_breaks) as session:
            # A rollout holds only for the version that it was based on.
            refuse_overtaken(registry, state, *((POINTER, ROLLOUT) if file == ROLLOUT else (file,)))
            if check is not None:
                check(session.rows)
            emergency = {"emergency": True, "breaks": session.breaks} if session.breaks else {}
            row = session.append(action, environment=environment.name, details={**details, **emergency}, **fields)
            written = row.as_json()
            store.write(file, written)
    except BaseException:
        if written is not None:
            _put_back(registry, file, state.files[file], written)
        raise
    follow(registry, row)
    store.clear_abandoned()
    return row


def go_back_in_outage(registry: Registry, version: str | None, reason: str | None, outage: UnavailableError) -> Switch:
    """Serve the previous version, which the pointer names, while the ledger is unreachable; a later command records it.

    Raises `UnavailableError` when the pointer names no previous version, or the store lacks its model.
    """
    environment, store = registry.environment, registry.store
    now = read_pointer(environment)
    if now is None:
        raise outage
    if now.sequence == UNRECORDED:
        return Switch(now, changed=False, note="it already went back, while the ledger was unreachable")
    # A pointer of before there was an ONNX file names only the archive.
    target = now.from_version
    models = now.details.get("from_models") or {MODEL_FILE: str(now.details.get("from_model_sha256"))}
    held = all(store.holds(f"{sha256}/{name}", sha256) for name, sha256 in models.items())
    if version not in (None, target) or not held:
        raise UnavailableError(
            f"{outage} Until then, {environment.name} can go back only to its previous version, "
            f"{escaped(str(target))}, and only if its store has that model."
        )
    row = registry.ledger.make_row(
        UNRECORDED,
        now.hash,
        "rollback",
        environment=environment.name,
        version=target,
        from_version=now.version,
        model_sha256=models[MODEL_FILE],
        reason=reason,
        details={"emergency": True, "outage": str(outage), "models": models, **origin(now)},
    )
    store.write(POINTER, row.as_json())
    follow(registry, row)
    return Switch(row, changed=True, note="the ledger is unreachable; the next command records it")


def provide(registry: Registry, version: Version) -> None:
    """Copy the version's files to the environment's store, unless they are already there and complete."""
    for name, sha256 in version.served.items():
        if not registry.store.holds(version.key(name), sha256):
            registry.store.write(version.key(name), registry.read_file(version, name))


def _put_back(registry: Registry, file: str, before: bytes | None, written: bytes) -> None:
    """Make the file what it was, because the ledger could not save the row of the new one."""
    store = registry.store
    try:
        if store.read(file) != written:
            return
        if before is None:
            store.remove(file)
        else:
            store.write(file, before)
    except (OSError, UserError) as error:
        does = "record" if file == POINTER else "undo"
        raise UnavailableError(
            f"{registry.environment.name} was switched, but the ledger could not record it, and the store could not be "
            f"switched back ({error}). The next deploy, promote, rollback or smoke that reaches both will {does} it."
        ) from None
