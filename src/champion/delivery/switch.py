"""The switch: an environment changes its version, its rollout or its API keys in one step, and the ledger records it.

During a switch, only this process may append to the ledger. It writes the row, replaces the file of the store that is a
copy of it, and commits the row. If the process is killed before the commit, the ledger does not know the new file, and
the next command makes both agree.

- It records a version that the pointer names, because that is what was served. A pointer proves only that: who wrote
  it, when and why, anybody can claim who can write to the store.
- It writes a rollout and API keys again from the ledger, because those in the store may be anybody's. Only the stop of
  a rollout is recorded: it was written without the ledger, and with it the live version answers everybody.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from champion.core.errors import ConflictError, UnavailableError, UserError
from champion.core.values import escaped
from champion.delivery.listeners import follow
from champion.registry import history, rollouts
from champion.registry.chain import UNRECORDED, Row
from champion.registry.ledger import Appending
from champion.registry.registry import Registry
from champion.registry.served import KEYS, POINTER, ROLLOUT, content_of, read_pointer, recorded
from champion.registry.versions import MODEL_FILE, Version

# What a pointer says of itself, which nobody vouches for: kept, but cut to a length.
CLAIMS = ("action", "actor", "time", "reason", "hash")
CLAIM_LENGTH = 200
FILES = (POINTER, ROLLOUT, KEYS)

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


@dataclass(frozen=True)
class State:
    """What a command bases its decision on: the rows, and the bytes of the files, which show another command's switch.

    `despite_breaks` says whether the command goes on when the ledger is broken.
    """

    rows: list[Row]
    files: Mapping[str, bytes | None]
    despite_breaks: bool = False


def read_state(registry: Registry, *, despite_breaks: bool = False) -> State:
    """The current state, after a repair if a command was interrupted."""
    name = registry.environment.name
    files, rows = _read(registry), registry.ledger.rows()
    if not _differing(files, rows, name):
        return State(rows, files, despite_breaks)
    with registry.ledger.appending(despite_breaks=despite_breaks) as session:
        files = _read(registry)
        if POINTER in _differing(files, session.rows, name):
            files[POINTER] = _repair(registry, session, files[POINTER])
        stopped = _record_stop(registry, session, files[ROLLOUT])
        # A broken ledger proves nothing, and may hold the key of whoever broke it.
        if not stopped and not session.breaks:
            files |= {file: _write_again(registry, session, file) for file in _differing(files, session.rows, name)}
    # The recorded stop holds already, so its file is written only when its row is certain.
    return (
        read_state(registry, despite_breaks=despite_breaks) if stopped else State(session.rows, files, despite_breaks)
    )


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
        details={**(details or {}), "models": target.models, **_origin(now)},
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
            emergency = {"emergency": True, **_breaks(session)} if session.breaks else {}
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
        details={"emergency": True, "outage": str(outage), "models": models, **_origin(now)},
    )
    store.write(POINTER, row.as_json())
    follow(registry, row)
    return Switch(row, changed=True, note="the ledger is unreachable; the next command records it")


def provide(registry: Registry, version: Version) -> None:
    """Copy the version's files to the environment's store, unless they are already there and complete."""
    for name, sha256 in version.served.items():
        if not registry.store.holds(version.key(name), sha256):
            registry.store.write(version.key(name), registry.read_file(version, name))


def refuse_overtaken(registry: Registry, state: State, *files: str) -> None:
    """Raise `ConflictError` when one of the files has changed since `state` was read; by default the pointer."""
    for file in files or (POINTER,):
        content = registry.store.read(file)
        if content != state.files[file]:
            raise ConflictError(
                f"another command was faster in {registry.environment.name}: {_told(content)}. This command changed "
                "nothing. Look at `champion status`, then run it again if you still need it."
            )


def _told(content: bytes | None) -> str:
    row = Row.from_json(content)
    if row is None:
        return "a change of its store"
    of = f" of {row.version}" if row.version else ""
    return escaped(f"{row.action}{of}, by {row.actor}")


def _read(registry: Registry) -> dict[str, bytes | None]:
    return {file: registry.store.read(file) for file in FILES}


def _differing(files: Mapping[str, bytes | None], rows: list[Row], name: str) -> list[str]:
    """The files that are no copy of the row that the ledger has for them."""
    truth = recorded(rows, name)
    return [file for file, content in files.items() if content != content_of(truth[file])]


def _write_again(registry: Registry, session: Appending, file: str) -> bytes | None:
    """Make the file what the ledger says."""
    content = content_of(recorded(session.rows, registry.environment.name)[file])
    if content is None:
        registry.store.remove(file)
    else:
        registry.store.write(file, content)
    return content


def _record_stop(registry: Registry, session: Appending, content: bytes | None) -> bool:
    """Record the stop of a rollout that was made without the ledger, if there was one."""
    name = registry.environment.name
    last = history.rollout(session.rows, name)
    found = Row.from_json(content)
    if last is None or found is None or session.breaks or not rollouts.is_unrecorded_stop(found, last):
        return False
    claimed = found.details.get("unsound")
    unsound = claimed if isinstance(claimed, str) and claimed in last.details["versions"] else None
    session.append(
        rollouts.ROLL_OUT,
        environment=name,
        version=rollouts.first(last),
        from_version=last.from_version,
        reason=found.reason,
        details={
            **rollouts.stopped(last, unsound),
            "stop": {key: str(getattr(found, key))[:CLAIM_LENGTH] for key in CLAIMS},
        },
    )
    return True


def _repair(registry: Registry, session: Appending, pointer: bytes | None) -> bytes | None:
    """Make ledger and pointer agree. The pointer is right if it names a registered model."""
    store, name = registry.store, registry.environment.name
    recorded = history.live(session.rows, name)
    found = Row.from_json(pointer)
    if found is None:
        # Only the pointer is lost, and the ledger has its content.
        content = content_of(recorded)
        if content is None:
            raise ConflictError(
                f"{store.url}/{POINTER}: damaged, and the ledger has no deployment in {name}. Remove this file."
            )
        store.write(POINTER, content)
        return content
    known = history.versions(session.rows).get(str(found.version))
    if found.environment != name or known is None or known.model_sha256 != found.model_sha256:
        raise ConflictError(
            f"{store.url}/{POINTER}: it points to {escaped(str(found.version))}, sha256 "
            f"{escaped(str(found.model_sha256))}, which is not in the ledger, so another program wrote it. Remove this "
            "file and run this again to write it from the ledger."
        )
    row = session.append(
        "repair",
        environment=name,
        version=known.name,
        from_version=recorded.version if recorded is not None else None,
        model_sha256=known.model_sha256,
        reason="the store serves this version, but the ledger did not say so: a switch was interrupted, the store was "
        "restored, or another program wrote to it",
        details={
            "pointer": {key: str(getattr(found, key))[:CLAIM_LENGTH] for key in CLAIMS},
            "models": known.models,
            **_origin(recorded),
            **_breaks(session),
        },
    )
    store.write(POINTER, row.as_json())
    return row.as_json()


def _origin(before: Row | None) -> dict[str, Any]:
    """The hashes of the previous model, which a rollback reads from the pointer when the ledger is unreachable."""
    if before is None:
        return {}
    return {"from_models": before.details.get("models", {MODEL_FILE: before.model_sha256})}


def _breaks(session: Appending) -> dict[str, Any]:
    return {"breaks": session.breaks} if session.breaks else {}


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
