"""The API keys of an environment. A key is shown once; ledger and store have only its hash."""

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from champion.core.errors import ConflictError, NotFoundError, UserError
from champion.core.strict_yaml import did_you_mean
from champion.delivery.state import State, read_state
from champion.delivery.switch import switch_file
from champion.registry import api_keys, history
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.served import KEYS

KEY_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def add(registry: Registry, name: str) -> tuple[Row, str]:
    """Make a key with this name; the row and the key, which nobody can show again.

    Raises `UserError` for a name that is not of letters, digits, `-`, `_` and `.`, and `ConflictError` when there is
    such a key or another command was faster.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name for a key. Use up to 64 letters, digits, `-`, `_` and `.`, and begin with a letter "
            "or digit."
        )
    state, environment = read_state(registry), registry.environment.name
    keys = dict(history.api_keys(state.rows, environment))
    if name in keys:
        raise ConflictError(
            f"{environment} has a key {name!r}. Choose another name, or run `champion keys revoke {name} --env "
            f"{environment}` first."
        )
    key = secrets.token_urlsafe(KEY_BYTES)
    keys[name] = {"sha256": api_keys.hash_key(key), "added": datetime.now(UTC).isoformat()}
    return _switch(registry, state, api_keys.ADD, name, keys), key


def revoke(registry: Registry, name: str, reason: str | None = None) -> Row:
    """Make the key with this name invalid. Raises `NotFoundError` when there is none."""
    state, environment = read_state(registry), registry.environment.name
    keys = dict(history.api_keys(state.rows, environment))
    if name not in keys:
        known = (
            f"Choose one of {', '.join(keys)}" if keys else f"Add one with `champion keys add NAME --env {environment}`"
        )
        raise NotFoundError(f"{environment} has no key {name!r}{did_you_mean(name, keys)}. {known}.")
    del keys[name]
    return _switch(registry, state, api_keys.REVOKE, name, keys, reason)


def _switch(
    registry: Registry,
    state: State,
    action: str,
    name: str,
    keys: Mapping[str, Mapping[str, str]],
    reason: str | None = None,
) -> Row:
    return switch_file(registry, state, KEYS, action, reason=reason, details={"name": name, "keys": keys})
