"""How what an environment serves changes: in one step, recorded, and never half.

A switch happens while this process alone may append to the ledger: the row is written, the pointer replaced, the row
committed. A process killed in between leaves a pointer that the ledger does not know of: it carries its own row, and
the next command records it.
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
    """What a command did: the row of what is live now, and whether it was this command that put it there."""

    row: Row
    changed: bool


@dataclass(frozen=True)
class State:
    """What a command decides on: the rows, and the pointer's bytes, by which it notices another's switch."""

    rows: list[Row]
    pointer: bytes | None


def read_state(registry: Registry) -> State:
    """The state to decide on, once what an interrupted command left is repaired."""
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
    """Serve the version, unless it is served already.

    Raises `ConflictError` when another command was faster, and `UserError` when a store or the ledger fails: the
    version of before then goes on serving.
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
    """See that the version's files are in the environment's store, whole."""
    for name in SERVED_FILES:
        if not registry.store.holds(version.key(name), version.files[name]):
            registry.store.write(version.key(name), registry.read_file(version, name))


def refuse_overtaken(registry: Registry, state: State) -> None:
    """Raise `ConflictError` when the pointer is not the one that the command decided on."""
    pointer = registry.store.read(POINTER)
    if pointer != state.pointer:
        row = Row.from_json(pointer) if pointer is not None else None
        what = f"{row.action} of {row.version}, by {row.actor}" if row is not None else "a change of its store"
        raise ConflictError(
            f"another command was faster in {registry.environment.name}: {what}. Nothing was changed by this one; look "
            "at `champion status`, then run it again if it is still right."
        )


def _agree(pointer: bytes | None, recorded: Row | None) -> bool:
    return pointer == (recorded.as_json() if recorded is not None else None)


def _repair(registry: Registry, session: Appending, pointer: bytes | None) -> bytes | None:
    """Bring ledger and pointer together: what the store serves is the truth, as long as it is a registered model."""
    store, name = registry.store, registry.environment.name
    recorded = history.live(session.rows, name)
    found = Row.from_json(pointer) if pointer is not None else None
    if found is None:
        # Only the pointer is lost, and the ledger knows what it said.
        content = recorded.as_json() if recorded is not None else None
        if content is None:
            raise ConflictError(
                f"{store.url}/{POINTER}: damaged, and the ledger has no deployment in {name}. Remove it."
            )
        store.write(POINTER, content)
        return content
    known = history.versions(session.rows).get(str(found.version))
    if found.environment != name or known is None or known.model_sha256 != found.model_sha256:
        raise ConflictError(
            f"{store.url}/{POINTER}: it points to {found.version}, sha256 {found.model_sha256}, which is not in the "
            f"ledger. Somebody else wrote it. Remove it, then run this again: it is written from the ledger."
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
            reason="the store still serves this: a switch was interrupted, or the store was restored",
        )
    store.write(POINTER, row.as_json())
    return row.as_json()


def _put_back(registry: Registry, before: bytes | None, written: bytes) -> None:
    """The old model serves again when the ledger could not keep the row of the new one."""
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
            f"{registry.environment.name} was switched, but neither could the ledger record it nor the store be "
            f"switched back ({error}). The next deploy, promote, rollback or smoke records it once both can be reached."
        ) from None
