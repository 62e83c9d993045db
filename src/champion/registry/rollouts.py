"""What a row about a rollout says: how many users get which version, and which version scores in the shadow."""

from typing import Any

from champion.core.values import finite
from champion.registry.chain import UNRECORDED, Row

ROLL_OUT = "rollout"


def shares(row: Row) -> dict[str, tuple[float, str]]:
    """Percent and version by flag, of the flags that were given a share. What an edit of the row spoilt is left out."""
    try:
        flags = row.details["flags"]["flags"]
        found = {
            flag: (percent, flags[flag]["metadata"]["version"]) for flag, percent in row.details["percents"].items()
        }
    except (AttributeError, KeyError, TypeError):
        return {}
    return {flag: share for flag, share in found.items() if finite(share[0]) is not None}


def shadow(row: Row) -> str | None:
    """The version that scores all rows while the live one answers."""
    return row.details.get("shadow")


def is_on(row: Row) -> bool:
    """Whether the row gives a version some users, or the shadow."""
    return bool(row.details.get("percents") or shadow(row))


def is_active(row: Row | None, live: Row | None) -> bool:
    """Whether this last row about a rollout holds beside this row of the live version. Any later switch ends it."""
    return row is not None and live is not None and row.details.get("base") == live.hash and is_on(row)


def first(row: Row) -> str | None:
    """The first version of the rollout."""
    return next((version for _, version in shares(row).values()), shadow(row))


def stopped(row: Row, unsound: str | None) -> dict[str, Any]:
    """The details of the row that stops this rollout, by itself if a version is `unsound`.

    `ended` has the versions that users got, by flag; of an automatic stop only the unsound one.
    """
    ended = {flag: version for flag, (percent, version) in shares(row).items() if percent > 0}
    return {
        "base": row.details.get("base"),
        "flags": {"flags": {}},
        "percents": {},
        "versions": {},
        "shadow": None,
        "automatic": unsound is not None,
        "unsound": unsound,
        "ended": {flag: version for flag, version in ended.items() if unsound in (None, version)},
    }


def is_unrecorded_stop(found: Row, last: Row) -> bool:
    """Whether a store's row stops the rollout of the ledger's last row, and the ledger does not know."""
    return (
        found.sequence == UNRECORDED
        and found.action == ROLL_OUT
        and found.environment == last.environment
        and found.details.get("percents") == {}
        and found.details.get("shadow") is None
        and found.details.get("base") == last.details.get("base")
        and is_on(last)
    )


def describe(row: Row) -> str:
    """The rollout in a few words, such as `10% to v4 by new_model, shadow v5`."""
    parts = [f"{percent:g}% to {version} by {flag}" for flag, (percent, version) in shares(row).items()]
    parts += [f"shadow {version}"] if (version := shadow(row)) else []
    return ", ".join(parts) or "stopped"
