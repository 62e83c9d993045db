"""What the ledger's rows say happened: the versions, what each environment serves and served, and when."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from champion.core.errors import UserError
from champion.registry import api_keys as keys
from champion.registry import rollouts
from champion.registry.chain import Row
from champion.registry.versions import Version

# The actions after which an environment serves the row's version.
SWITCHES = frozenset({"deploy", "promote", "rollback", "repair"})
# The action of a retraining whose model the gate refused. Its details have `as_of`.
RETRAIN = "retrain"
# The action that says whether to retrain.
SHOULD_RETRAIN = "should-retrain"
# The action that removes what the prediction log has of a user.
ERASE = "erase-predictions"


def events(rows: Iterable[Row], environment: str) -> list[Row]:
    """The rows of the environment, and rows without an environment (such as a registration), which concern all."""
    return [row for row in rows if row.environment in (environment, None)]


def versions(rows: Iterable[Row]) -> dict[str, Version]:
    """Every registered version by name, oldest first."""
    return {str(row.version): Version.of(row) for row in rows if row.action == "register"}


def registration(rows: Iterable[Row], version: str) -> Row:
    """The row that registered the version. The version must be one of `versions`."""
    return next(row for row in rows if row.action == "register" and row.version == version)


def live(rows: Iterable[Row], environment: str) -> Row | None:
    """The row of the version that the environment serves now; None before the first deployment."""
    return next(reversed(_switches(rows, environment)), None)


def live_at(rows: Iterable[Row], environment: str, moment: datetime) -> Row | None:
    """The row of the version that the environment served at that moment; None before the first deployment."""
    return next((row for row in reversed(_switches(rows, environment)) if row.when <= moment), None)


def parse_moment(text: str) -> datetime:
    """The time that a user wrote, in UTC without a zone. Raises `UserError` when it is not a time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{text!r} is not a time such as 2026-11-03T12:00.") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def moment(text: str) -> datetime:
    """The same of a time that is past. Raises `UserError` when it is in the future."""
    time = parse_moment(text)
    if time > datetime.now(UTC):
        raise UserError(f"{text} is in the future, but the ledger has only the past. Give an earlier time.")
    return time


def stack(rows: Iterable[Row], environment: str) -> list[str]:
    """Versions to which a rollback can return, with the live one last; without those that were rolled back."""
    versions_so_far: list[str] = []
    for row in _switches(rows, environment):
        version = str(row.version)
        if row.action in ("rollback", "repair") and version in versions_so_far:
            del versions_so_far[versions_so_far.index(version) + 1 :]
        else:
            versions_so_far = [*(other for other in versions_so_far if other != version), version]
    return versions_so_far


def step_back(rows: Sequence[Row], environment: str) -> Row | None:
    """The last row of the environment about its live version, if it went back to an earlier one; else None."""
    # These can come at any moment, also by themselves, and say nothing of the live version.
    beside = {rollouts.ROLL_OUT, *keys.ACTIONS, RETRAIN, SHOULD_RETRAIN, ERASE}
    last = next((row for row in reversed(rows) if row.environment == environment and row.action not in beside), None)
    if last is None or last.action not in ("rollback", "repair"):
        return None
    before = [row for row in rows if row.sequence < last.sequence]
    return last if str(last.version) in stack(before, environment) else None


def rollout(rows: Sequence[Row], environment: str) -> Row | None:
    """The last row about a rollout in the environment; it may have ended since."""
    return _last(rows, environment, {rollouts.ROLL_OUT})


def active_rollout(rows: Sequence[Row], environment: str) -> Row | None:
    """The row of the rollout that is on; None without one, or when it was stopped or the live version changed since."""
    last = rollout(rows, environment)
    return last if rollouts.is_active(last, live(rows, environment)) else None


def api_keys(rows: Sequence[Row], environment: str) -> Mapping[str, Mapping[str, Any]]:
    """The API keys of the environment by name: the SHA-256 of each key, and since when it is valid."""
    row = key_change(rows, environment)
    return {} if row is None else row.details["keys"]


def key_additions(rows: Sequence[Row], environment: str) -> dict[str, Row]:
    """The row that added it, for each valid API key of the environment."""
    added = {str(row.details["name"]): row for row in rows if row.action == keys.ADD and row.environment == environment}
    return {name: added[name] for name in api_keys(rows, environment) if name in added}


def key_change(rows: Sequence[Row], environment: str) -> Row | None:
    """The last row about the environment's API keys, which has all of them."""
    return _last(rows, environment, keys.ACTIONS)


def served(rows: Iterable[Row], environment: str) -> set[str]:
    """Every version that was ever live in the environment."""
    return {str(row.version) for row in _switches(rows, environment)}


def smoke(rows: Sequence[Row], environment: str) -> Row | None:
    """The last smoke test of the version that the environment serves; None without a test since it went live."""
    now = live(rows, environment)
    if now is None:
        return None
    after = (row for row in reversed(rows) if row.sequence > now.sequence and row.environment == environment)
    return next((row for row in after if row.action == "smoke" and row.version == now.version), None)


def last_training(rows: Iterable[Row]) -> Row | None:
    """The row of the last training, whether its model was registered or refused; None without one."""
    trained = [row for row in rows if row.action in ("register", RETRAIN)]
    return trained[-1] if trained else None


def moments(rows: Sequence[Row], now: datetime) -> list[datetime]:
    """When each row was written, as far as clocks can be trusted: never after `now`, or before an earlier row.

    A row whose time is in the future counts as written when the next row was that is not from the future.
    """
    latest = datetime.min.replace(tzinfo=UTC)
    found: list[datetime | None] = []
    for row in rows:
        latest = max(latest, row.when) if row.when <= now else latest
        found.append(latest if row.when <= now else None)
    following, settled = now, []
    for moment in reversed(found):
        following = following if moment is None else moment
        settled.append(following)
    return settled[::-1]


def _last(rows: Sequence[Row], environment: str, actions: Collection[str]) -> Row | None:
    return next((row for row in reversed(rows) if row.environment == environment and row.action in actions), None)


def _switches(rows: Iterable[Row], environment: str) -> list[Row]:
    return [row for row in rows if row.environment == environment and row.action in SWITCHES]
