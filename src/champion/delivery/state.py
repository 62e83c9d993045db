"""What a command bases its decision on: the rows of the ledger, and the files of the store, which agree with them.

They differ when a command was killed during a switch. Then reading makes both agree first:

- It records a version that the pointer names, because that is what was served. A pointer proves only that: who wrote
  it, when and why, anybody can claim who can write to the store.
- It writes a rollout and API keys again from the ledger, because those in the store may be anybody's. Only the stop of
  a rollout is recorded: it was written without the ledger, and with it the live version answers everybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from champion.core.errors import ConflictError
from champion.core.values import escaped
from champion.registry import history, rollouts
from champion.registry.chain import Row
from champion.registry.ledger import Appending
from champion.registry.registry import Registry
from champion.registry.served import KEYS, POINTER, ROLLOUT, content_of, origin, recorded

# What a pointer says of itself, which nobody vouches for: kept, but cut to a length.
CLAIMS = ("action", "actor", "time", "reason", "hash")
CLAIM_LENGTH = 200
FILES = (POINTER, ROLLOUT, KEYS)


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
            **origin(recorded),
            **({"breaks": session.breaks} if session.breaks else {}),
        },
    )
    store.write(POINTER, row.as_json())
    return row.as_json()
