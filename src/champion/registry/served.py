"""What an environment serves, read only from its store: a small pointer file and the files of the model.

The pointer is a copy of the ledger row that made the version live. Beside it are the last row about a rollout, and the
last row about API keys.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from champion.core.errors import ConflictError, UserError
from champion.environments import Environment
from champion.registry import history, rollouts, standing
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.stores import Store
from champion.registry.versions import MODEL_FILE

POINTER = "current.json"
ROLLOUT = "rollout.json"
KEYS = "keys.json"
_DIFFERS = "differs from the ledger: run `champion audit`"


@dataclass(frozen=True)
class Status:
    """What an environment serves, since when, who did it, and whether it was tested.

    `note` says what else a person should know. `version` is None when the environment serves nothing or cannot be read.
    """

    readable: bool = True
    version: str | None = None
    since: str | None = None
    actor: str | None = None
    smoke_passed: bool | None = None
    note: str | None = None


def read_pointer(environment: Environment) -> Row | None:
    """The row of the version that the environment serves now; None when nothing was deployed yet."""
    store = Store(environment.model_store_url)
    content = store.read(POINTER)
    row = Row.from_json(content)
    if content is not None and row is None:
        raise ConflictError(
            f"{store.url}/{POINTER}: damaged. `champion rollback --env {environment.name} --to VERSION` repairs it."
        )
    return row


def read_model(environment: Environment, row: Row) -> bytes:
    """The model file that the pointer's row names. Raises `ConflictError` when it is missing or another file."""
    store, key = Store(environment.model_store_url), f"{row.model_sha256}/{MODEL_FILE}"
    content = store.read(key)
    if content is None or hashlib.sha256(content).hexdigest() != row.model_sha256:
        what = "is missing" if content is None else "is not the file that was deployed"
        raise ConflictError(
            f"{store.url}/{key} {what}. `champion rollback --env {environment.name} --to {row.version}` restores it."
        )
    return content


def status_of(environment: Environment) -> Status:
    """The status of the environment. An environment that cannot be read raises no error; its note says why."""
    try:
        rows, row = Registry.open(environment).rows, read_pointer(environment)
        beside = Store(environment.model_store_url).read(ROLLOUT)
    except UserError as error:
        return Status(readable=False, note=str(error))
    if row is None:
        return Status(note=None if history.live(rows, environment.name) is None else _DIFFERS)
    if row != history.live(rows, environment.name):
        # Since when and by whom is for the ledger to say.
        return Status(version=str(row.version), note=_DIFFERS)
    test = history.smoke(rows, environment.name)
    passed = None if test is None else test.outcome is True
    retired = standing.retirements(rows).get(str(row.version))
    notes = [] if retired is None else [f"retired: {retired.reason} (ledger row {retired.sequence})"]
    last, active = history.rollout(rows, environment.name), history.active_rollout(rows, environment.name)
    if beside != content_of(last):
        notes.append(f"its rollout {_DIFFERS}")
    elif active is not None:
        notes.append(f"{rollouts.describe(active)} (ledger row {active.sequence})")
    note = "; ".join(notes) or None
    return Status(version=row.version, since=row.time[:19], actor=row.actor, smoke_passed=passed, note=note)


def content_of(row: Row | None) -> bytes | None:
    """What a small file of the store holds that is a copy of the row; without a row, there is no such file."""
    return row.as_json() if row is not None else None


def recorded(rows: Sequence[Row], environment: str) -> dict[str, Row | None]:
    """For each small file of the environment's store, the row of the ledger that it should be a copy of."""
    return {
        POINTER: history.live(rows, environment),
        ROLLOUT: history.rollout(rows, environment),
        KEYS: history.key_change(rows, environment),
    }


def origin(before: Row | None) -> dict[str, Any]:
    """The hashes of the previous model, which a rollback reads from the pointer when the ledger is unreachable."""
    if before is None:
        return {}
    return {"from_models": before.details.get("models", {MODEL_FILE: before.model_sha256})}
