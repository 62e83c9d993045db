"""Which version an environment serves, and how that changes: in one step, recorded, and never half.

An environment's store holds the files of its versions and one small pointer, which is the ledger row that put the
live version there. A switch happens while this process alone may append to the ledger: the row is written, the pointer
replaced, the row committed. A process killed in between leaves a pointer that the ledger does not know of: it carries
its own row, and the next switch records it.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from champion.core.errors import UserError
from champion.delivery.listeners import follow
from champion.environments import Environment
from champion.registry import history
from champion.registry.ledger import Appending, Row, breaks
from champion.registry.stores import Store
from champion.registry.versions import EXAMPLES_FILE, MODEL_FILE, neighbours, open_ledger, registered_file

POINTER = "current.json"
SERVED_FILES = (MODEL_FILE, EXAMPLES_FILE)


@dataclass(frozen=True)
class Switch:
    """What a command did: the row of what is live now, and whether it was this command that put it there."""

    row: Row
    changed: bool


def open_store(environment: Environment) -> Store:
    """The store that the environment serves from."""
    return Store(environment.model_store_url)


def served(environment: Environment) -> Row | None:
    """What the environment serves now, read from its store alone; None when nothing was deployed yet."""
    store = open_store(environment)
    content = store.read(POINTER)
    row = Row.from_json(content) if content is not None else None
    if content is not None and row is None:
        raise UserError(
            f"{store.url}/{POINTER}: damaged. `champion rollback --env {environment.name} --to VERSION` writes it anew."
        )
    return row


def status_of(environment: Environment) -> tuple[str, str, str, str, str]:
    """Version, time, actor, smoke test and a note on the environment; what cannot be known is said in the note."""
    try:
        rows, row = open_ledger(environment).rows(), served(environment)
    except UserError as error:
        return "?", "", "", "", str(error)
    note = ""
    if row != history.live(rows, environment.name):
        note = "not what the ledger says: `champion audit`"
    if row is None:
        return "none", "", "", "", note
    test = history.smoke(rows, environment.name)
    tested = "not run" if test is None else "passed" if test.details["passed"] is True else "FAILED"
    return str(row.version), row.time[:19], row.actor, tested, note


def served_file(environment: Environment, row: Row) -> bytes:
    """The model file that `served` names, from the environment's store. Raises `UserError` when it is another."""
    store, key = open_store(environment), f"{row.model_sha256}/{MODEL_FILE}"
    content = store.read(key)
    if content is None or hashlib.sha256(content).hexdigest() != row.model_sha256:
        what = "is not there" if content is None else "is not the file that was deployed"
        raise UserError(
            f"{store.url}/{key}: {what}. `champion rollback --env {environment.name} --to {row.version}` restores it."
        )
    return content


def ready(environment: Environment, version: str) -> tuple[Row, dict[str, Any]]:
    """A version and the report of its smoke test in the registry. Raises `UserError` when its files are not right."""
    from champion.delivery.smoke import examine

    target = history.resolve(open_ledger(environment).rows(), version, neighbours(environment))
    content, examples = (registered_file(environment, target, name) for name in SERVED_FILES)
    return target, examine(content, examples, target, environment.thresholds)


def deploy(environment: Environment, version: str) -> Switch:
    """Serve a registered version. Raises `UserError` where versions come by promotion only."""
    if environment.promoted_from is not None:
        raise UserError(
            f"{environment.name} takes only what passed in {environment.promoted_from}: "
            f"`champion deploy {version} --env {environment.promoted_from}`, then "
            f"`champion promote --env {environment.name}`."
        )
    seen = _look(environment)
    target = history.resolve(seen.rows, version, neighbours(environment))
    return _switch(environment, seen, "deploy", target)


def promote(
    environment: Environment, version: str | None = None, *, emergency: bool = False, reason: str | None = None
) -> Switch:
    """Serve what passed in the environment before this one: live there, smoke tested, and champion.

    `emergency` asks for none of the three, but for a reason. Before it goes live the version is tested in this
    environment's own store.
    """
    source = environment.promoted_from
    if source is None:
        raise UserError(f"nothing is promoted to {environment.name}: use `champion deploy VERSION`.")
    if emergency and not reason:
        raise UserError("an emergency needs a reason: add --reason, it goes into the ledger.")
    if source not in neighbours(environment):
        raise UserError(
            f"{source} and {environment.name} have different databases: a promotion reads in the ledger what passed. "
            "Give both the same database_url in config/environments.yaml."
        )
    seen = _look(environment)
    target = _promoted_version(seen.rows, environment, source, version)
    if not emergency:
        _refuse_unproven(seen, target, source)
    now = history.live(seen.rows, environment.name)
    details: dict[str, Any] = {"emergency": emergency}
    if now is None or now.version != target.version:
        _provide(environment, target)
        details["smoke"] = report = _examine(environment, target)
        if not report["passed"]:
            with open_ledger(environment).appending() as session:
                failed = _append_smoke(session, environment, target, report)
            follow(environment, failed)
            raise UserError(_failed(environment, target, report) + " What was live there still is.")
    return _switch(environment, seen, "promote", target, reason=reason, details=details)


def rollback(environment: Environment, version: str | None = None, *, reason: str | None = None) -> Switch:
    """Serve again what the environment served before, or a version that it once served."""
    seen = _look(environment)
    target = _version_before(seen.rows, environment, version)
    return _switch(environment, seen, "rollback", target, reason=reason)


def smoke_test(environment: Environment) -> Row:
    """Test what the environment serves, in its own store, and record the result, passed or not."""
    seen = _look(environment)
    now = history.live(seen.rows, environment.name)
    if now is None:
        raise UserError(f"{environment.name} serves nothing yet. Deploy a version first.")
    target = history.versions(seen.rows)[str(now.version)]
    report = _examine(environment, target)
    with open_ledger(environment).appending() as session:
        _refuse_overtaken(environment, seen)
        row = _append_smoke(session, environment, target, report)
    follow(environment, row)
    return row


@dataclass(frozen=True)
class _Seen:
    """What a command decided on: the rows, and the pointer's bytes, by which it notices another's switch."""

    rows: list[Row]
    pointer: bytes | None


def _look(environment: Environment) -> _Seen:
    """The state to decide on, once what an interrupted command left is repaired."""
    ledger, store = open_ledger(environment), open_store(environment)
    pointer, rows = store.read(POINTER), ledger.rows()
    if _agree(pointer, history.live(rows, environment.name)):
        return _Seen(rows, pointer)
    with ledger.appending() as session:
        pointer = store.read(POINTER)
        if not _agree(pointer, history.live(session.rows, environment.name)):
            pointer = _repair(environment, session, pointer)
        return _Seen(session.rows, pointer)


def _agree(pointer: bytes | None, recorded: Row | None) -> bool:
    return pointer == (recorded.as_json() if recorded is not None else None)


def _repair(environment: Environment, session: Appending, pointer: bytes | None) -> bytes | None:
    """Bring ledger and pointer together: what the store serves is the truth, as long as it is a registered model."""
    store, recorded = open_store(environment), history.live(session.rows, environment.name)
    found = Row.from_json(pointer) if pointer is not None else None
    if found is None:
        # Only the pointer is lost, and the ledger knows what it said.
        content = recorded.as_json() if recorded is not None else None
        if content is None:
            raise UserError(
                f"{store.url}/{POINTER}: damaged, and the ledger has no deployment in {environment.name}. Remove it."
            )
        store.write(POINTER, content)
        return content
    known = history.versions(session.rows).get(str(found.version))
    if found.environment != environment.name or known is None or known.model_sha256 != found.model_sha256:
        raise UserError(
            f"{store.url}/{POINTER}: it points to {found.version}, sha256 {found.model_sha256}, which is not in the "
            f"ledger. Somebody else wrote it. Remove it, then run this again: it is written from the ledger."
        )
    if all(row.hash != found.hash for row in session.rows):
        row = session.append_row(found)
    else:
        row = session.append(
            "repair",
            environment=environment.name,
            version=found.version,
            from_version=recorded.version if recorded is not None else None,
            model_sha256=found.model_sha256,
            reason="the store still serves this: a switch was interrupted, or the store was restored",
        )
    store.write(POINTER, row.as_json())
    return row.as_json()


def _switch(
    environment: Environment,
    seen: _Seen,
    action: str,
    target: Row,
    *,
    reason: str | None = None,
    details: dict[str, Any] | None = None,
) -> Switch:
    _provide(environment, target)
    now = history.live(seen.rows, environment.name)
    if now is not None and now.version == target.version:
        return Switch(now, changed=False)
    store, written = open_store(environment), None
    try:
        with open_ledger(environment).appending() as session:
            _refuse_overtaken(environment, seen)
            row = session.append(
                action,
                environment=environment.name,
                version=target.version,
                from_version=now.version if now is not None else None,
                model_sha256=target.model_sha256,
                reason=reason,
                details=details or {},
            )
            written = row.as_json()
            store.write(POINTER, written)
    except BaseException:
        if written is not None:
            _put_back(environment, seen.pointer, written)
        raise
    follow(environment, row)
    store.clear_abandoned()
    return Switch(row, changed=True)


def _put_back(environment: Environment, before: bytes | None, written: bytes) -> None:
    """The old model serves again when the ledger could not keep the row of the new one."""
    store = open_store(environment)
    try:
        if store.read(POINTER) != written:
            return
        if before is None:
            store.remove(POINTER)
        else:
            store.write(POINTER, before)
    except (OSError, UserError) as error:
        raise UserError(
            f"{environment.name} was switched, but neither could the ledger record it nor the store be switched back "
            f"({error}). The next deploy, promote, rollback or smoke records it once both can be reached."
        ) from None


def _refuse_overtaken(environment: Environment, seen: _Seen) -> None:
    pointer = open_store(environment).read(POINTER)
    if pointer != seen.pointer:
        row = Row.from_json(pointer) if pointer is not None else None
        what = f"{row.action} of {row.version}, by {row.actor}" if row is not None else "a change of its store"
        raise UserError(
            f"another command was faster in {environment.name}: {what}. Nothing was changed by this one; look at "
            "`champion status`, then run it again if it is still right."
        )


def _provide(environment: Environment, version: Row) -> None:
    """See that the version's files are in the environment's store, whole."""
    store = open_store(environment)
    for name in SERVED_FILES:
        key = f"{version.model_sha256}/{name}"
        if not store.holds(key, version.details["files"][name]):
            store.write(key, registered_file(environment, version, name))


def _promoted_version(rows: list[Row], environment: Environment, source: str, version: str | None) -> Row:
    if version is not None:
        return history.resolve(rows, version, neighbours(environment))
    staged = history.live(rows, source)
    if staged is None:
        raise UserError(f"{source} serves nothing yet: `champion deploy VERSION --env {source}` first.")
    return history.versions(rows)[str(staged.version)]


def _refuse_unproven(seen: _Seen, target: Row, source: str) -> None:
    staged, tested = history.live(seen.rows, source), history.smoke(seen.rows, source)
    if breaks(seen.rows, None):
        raise UserError("the ledger was tampered with, so it proves nothing. `champion audit` says where.")
    if staged is None or staged.version != target.version:
        raise UserError(
            f"{target.version} is not live in {source}: `champion deploy {target.version} --env {source}` first."
        )
    if tested is None or tested.details["passed"] is not True:
        how = "was not smoke tested" if tested is None else "failed its smoke test"
        raise UserError(f"{target.version} {how} in {source}: `champion smoke --env {source}` must pass first.")
    holder = history.champion(seen.rows)
    if holder != target.version:
        raise UserError(
            f"{target.version} is not the champion ({holder or 'there is none'}): it must win "
            f"`champion challenge {target.version}` first."
        )


def _version_before(rows: list[Row], environment: Environment, version: str | None) -> Row:
    if version is None:
        back = history.stack(rows, environment.name)
        if len(back) < 2:
            raise UserError(
                f"{environment.name} has no version to go back to: {back[-1] if back else 'none'} is the first."
            )
        version = back[-2]
    target = history.resolve(rows, version, neighbours(environment))
    if target.version not in history.served(rows, environment.name):
        raise UserError(f"{target.version} was never live in {environment.name}: a rollback goes back only.")
    return target


def _examine(environment: Environment, version: Row) -> dict[str, Any]:
    from champion.delivery.smoke import examine

    store = open_store(environment)
    content, examples = (store.read(f"{version.model_sha256}/{name}") for name in SERVED_FILES)
    if content is None or examples is None:
        return {"passed": False, "failures": [f"{store.url}: the files of {version.version} are not there"]}
    if hashlib.sha256(examples).hexdigest() != version.details["files"][EXAMPLES_FILE]:
        return {"passed": False, "failures": [f"{store.url}: the stored examples are not those that were registered"]}
    return examine(content, examples, version, environment.thresholds)


def _append_smoke(session: Appending, environment: Environment, version: Row, report: dict[str, Any]) -> Row:
    return session.append(
        "smoke",
        environment=environment.name,
        version=version.version,
        model_sha256=version.model_sha256,
        reason="; ".join(report["failures"]) or None,
        details=report,
    )


def _failed(environment: Environment, version: Row, report: dict[str, Any]) -> str:
    return f"the smoke test of {version.version} in {environment.name} failed: {'; '.join(report['failures'])}."
