"""The versions whose outputs somebody may still need: those that are served, were served, or may be next."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from champion.core.errors import UserError
from champion.environments import load_environments
from champion.registry import history, rollouts, standing
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.versions import Version


def needed_versions(root: Path, *, everywhere: bool) -> tuple[dict[str, Version], list[str]]:
    """The versions by name and environment, and the environments that were not asked.

    These are environments with a variable that is not set here; with `everywhere` that raises `UserError`, as does a
    ledger that cannot be read or trusted.
    """
    found: dict[str, Version] = {}
    unasked: list[str] = []
    for name, environment in load_environments(root).items():
        try:
            registry = Registry.open(environment)
        except UserError:
            if everywhere:
                raise
            unasked.append(name)
            continue
        rows = registry.ledger.trusted_rows()
        known = history.versions(rows)
        found |= {f"{version} of {name}": known[version] for version in _needed(rows, name)}
    return found, unasked


def _needed(rows: Sequence[Row], environment: str) -> Iterator[str]:
    """The champion, the challenger, and what the environment serves, can return to, or gives some of its users."""
    yield from standing.aliases(rows, [environment]).values()
    yield from history.stack(rows, environment)
    rollout = history.active_rollout(rows, environment)
    if rollout is not None:
        yield from (version for _, version in rollouts.shares(rollout).values())
        shadow = rollouts.shadow(rollout)
        if shadow is not None:
            yield shadow
