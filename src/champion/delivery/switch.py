"""The switch: an environment changes its version in one step, and the ledger records it.

During a switch, only this process may append to the ledger. It writes the row, replaces the pointer, and commits the
row. If the process is killed before the commit, the ledger does not know the new pointer. But the pointer holds its own
row, so the next command records it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from champion.core.errors import ConflictError, UnavailableError, UserError
from champion.delivery.listeners import follow
from champion.registry import history
from champion.registry.chain import Row
from champion.registry.ledger import Appending
from champion.registry.registry import Registry
from champion.registry.served import POINTER, SERVED_FILES
from champion.registry.versions import Version


@dataclass(frozen=True)
class Switch:
    """The result of a command: the row of the live version, and whether this command made it live."""

    row: Row
    changed: bool


@dataclass(frozen=True)
class State:
    """What a command bases its decision on: the rows, and the pointer's bytes, which show another command's switch."""

    rows: list[Row]
    pointer: bytes | None


def read_state(registry: Registry) -> State:
    """The current state, after a repair if a command was interrupted."""
    name = registry.environment.name
    pointer, rows = registry.store.read(POINTER), registry.ledger.rows()
    if _agree(pointer, history.live(rows, name)):
        return State(rows, pointer)
    with registry.ledger.appending() as session:
        pointer = registry.store.read(POINTER)
        if not _agree(pointer, history.live(session.rows, name)):
            pointer = _repair(registry, session, pointer)
        return State(session.rows, pointer)


def switch(
    registry: Registry,
    state: State,
    action: str,
    target: Version,
    *,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Switch:
    """Serve the version, unless the environment already serves it.

    Raises `ConflictError` when another command was faster, and `UserError` when a store or the ledger fails; in both
    cases the environment still serves its old version.
    """
    provide(registry, target)
    environment, store = registry.environment, registry.store
    now = history.live(state.rows, environment.name)
    if now is not None and now.version == target.name:
        return Switch(now, changed=False)
    written = None
    try:
        with registry.ledger.appending() as session:
            refuse_overtaken(registry, state)
            row = session.append(
                action,
                environment=environment.name,
                version=target.name,
                from_version=now.version if now is not None else None,
                model_sha256=target.model_sha256,
                reason=reason,
                details=details or {},
            )
            written = row.as_json()
            store.write(POINTER, written)
    except BaseException:
        if written is not None:
            _put_back(registry, state.pointer, written)
        raise
    follow(registry, row)
    store.clear_abandoned()
    return Switch(row, changed=True)


def provide(registry: Registry, version: Version) -> None:
    """Copy the version's files to the environment's store, unless they are already there and complete."""
    for name in SERVED_FILES:
        if not registry.store.holds(version.key(name), version.files[name]):
            registry.store.write(version.key(name), registry.read_file(version, name))


def refuse_overtaken(registry: Registry, state: State) -> None:
    """Raise `ConflictError` when the pointer has changed since `state` was read."""
    pointer = registry.store.read(POINTER)
    if pointer != state.pointer:
        row = Row.from_json(pointer) if pointer is not None else None
        what = f"{row.action} of {row.version}, by {row.actor}" if row is not None else "a change of its store"
        raise ConflictError(
            f"another command was faster in {registry.environment.name}: {what}. This command changed nothing. Look "
            "at `champion status`, then run it again if you still need it."
        )


def _agree(pointer: bytes | None, recorded: Row | None) -> bool:
    return pointer == (recorded.as_json() if recorded is not None else None)


def _repair(registry: Registry, session: Appending, pointer: bytes | None) -> bytes | None:
    """Make ledger and pointer agree. The pointer is right if it names a registered model."""
    store, name = registry.store, registry.environment.name
    recorded = history.live(session.rows, name)
    found = Row.from_json(pointer) if pointer is not None else None
    if found is None:
        # Only the pointer is lost, and the ledger has its content.
        content = recorded.as_json() if recorded is not None else None
        if content is None:
            raise ConflictError(
                f"{store.url}/{POINTER}: damaged, and the ledger has no deployment in {name}. Remove this file."
            )
        store.write(POINTER, content)
        return content
    known = history.versions(session.rows).get(str(found.version))
    if found.environment != name or known is None or known.model_sha256 != found.model_sha256:
        raise ConflictError(
            f"{store.url}/{POINTER}: it points to {found.version}, sha256 {found.model_sha256}, which is not in the "
            f"ledger, so another program wrote it. Remove this file and run this again to write it from the ledger."
        )
    if all(row.hash != found.hash for row in session.rows):
        row = session.append_row(found)
    else:
        row = session.append(
            "repair",
            environment=name,
            version=found.version,
            from_version=recorded.version if recorded is not None else None,
            model_sha256=found.model_sha256,
            reason="the store still serves this version: a switch was interrupted, or the store was restored",
        )
    store.write(POINTER, row.as_json())
    return row.as_json()


def _put_back(registry: Registry, before: bytes | None, written: bytes) -> None:
    """Serve the old model again, because the ledger could not save the row of the new one."""
    store = registry.store
    try:
        if store.read(POINTER) != written:
            return
        if before is None:
            store.remove(POINTER)
        else:
            store.write(POINTER, before)
    except (OSError, UserError) as error:
        raise UnavailableError(
            f"{registry.environment.name} was switched, but the ledger could not record it, and the store could not be "
            f"switched back ({error}). The next deploy, promote, rollback or smoke that reaches both will record it."
        ) from None
