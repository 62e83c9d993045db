"""Where the versions stand: who is champion, what was decided and found, and the names that follow from it."""

from collections.abc import Collection, Iterable, Sequence

from champion.core.errors import ConflictError, NotFoundError
from champion.registry import rollouts
from champion.registry.chain import Row
from champion.registry.history import SWITCHES, live, versions
from champion.registry.versions import Version


def champion(rows: Sequence[Row]) -> str | None:
    """The version to beat: the last winner of a challenge, unless an emergency or a rollback replaced it.

    A repair follows a store, to which others may write. So a repair can restore an earlier champion, but not make one.
    A retired version is no champion, and a switch to it leaves the champion as it is.
    """
    chosen = None
    chosen_before: set[str | None] = set()
    promoting: set[str | None] = set()
    retired: set[str | None] = set()
    for row in rows:
        if row.action == "promote":
            promoting.add(row.environment)
        if row.action == "retire":
            retired |= _twins(rows, str(row.version))
        won = row.action == "challenge" and row.outcome is True
        switched = row.action in SWITCHES and row.environment in promoting
        if won or (switched and (row.action != "repair" or row.version in chosen_before)):
            chosen_before.add(row.version)
            chosen = chosen if row.version in retired else row.version
        if chosen in retired:
            chosen = None
    return chosen


def retirements(rows: Sequence[Row]) -> dict[str, Row]:
    """The row that retired it, for each retired version; with a version, others with the same pair are retired."""
    found: dict[str, Row] = {}
    for row in rows:
        if row.action == "retire":
            found |= {str(name): row for name in _twins(rows, str(row.version)) if name not in found}
    return found


def refuse_retired(rows: Sequence[Row], version: str) -> None:
    """Raise `ConflictError` when the version is retired."""
    row = retirements(rows).get(version)
    if row is not None:
        raise ConflictError(
            f"{version} was retired (ledger row {row.sequence}: {row.reason}), and nothing undoes that. Use another "
            "version."
        )


def comparison(rows: Sequence[Row], champion: str, challenger: str) -> Row | None:
    """The challenge that compared the two, whichever was the champion then; None without one."""
    first, second = (_twins(rows, version) for version in (champion, challenger))
    for row in rows:
        compared = row.action == "challenge" and row.details.get("comparison") is not None
        before, after = row.from_version, row.version
        if compared and ((before in first and after in second) or (before in second and after in first)):
            return row
    return None


def open_findings(rows: Iterable[Row], version: str, environments: Collection[str]) -> list[Row]:
    """The open findings about the version in these environments, since it was last cleared.

    These are failed smoke tests, and automatic rollbacks and stops of a rollout, from or of this version.
    """
    found: list[Row] = []
    for row in rows:
        if row.action == "clear" and row.version == version:
            found = []
        elif row.environment in environments:
            failed = row.action == "smoke" and row.version == version and row.outcome is not True
            automatic = row.details.get("automatic") is True
            left = automatic and row.action == "rollback" and row.from_version == version
            ended = automatic and row.action == rollouts.ROLL_OUT and version in row.details.get("ended", {}).values()
            found += [row] if failed or left or ended else []
    return found


def aliases(rows: Sequence[Row], environments: Collection[str]) -> dict[str, str]:
    """Versions by alias: `champion`, `challenger` (the newest version, unless champion), and one per environment.

    A retired version is neither champion nor challenger.
    """
    found = {name: row.version for name in environments if (row := live(rows, name)) is not None}
    holder = champion(rows)
    retired = retirements(rows)
    newest = next((name for name in reversed(versions(rows)) if name not in retired), None)
    named = {"champion": holder, "challenger": newest if newest != holder else None} | found
    return {name: version for name, version in named.items() if version is not None}


def resolve(rows: Sequence[Row], name: str, environments: Collection[str]) -> Version:
    """The registered version with that name or alias. Raises `NotFoundError` listing the known names."""
    known = versions(rows)
    named = aliases(rows, environments)
    version = named.get(name, name)
    if version in known:
        return known[version]
    if name in (*environments, "champion", "challenger"):
        raise NotFoundError(f"no version is {name!r} now.")
    choice = f"Choose one of {', '.join([*known, *named])}" if known else "Register one with `champion register`"
    raise NotFoundError(f"there is no version {name!r} in this registry. {choice}.")


def _twins(rows: Sequence[Row], version: str) -> set[str | None]:
    """The version, and others with the same pair of models, which programs of different age registered."""
    known = versions(rows)
    pair = known[version].pair
    return {name for name, one in known.items() if one.pair == pair}
