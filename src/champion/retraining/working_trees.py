"""The working trees of retrainings: each run has one of its own."""

from pathlib import Path
from secrets import token_hex

from champion.core.errors import UserError
from champion.environments import Environment
from champion.repository.process import dvc, run
from champion.repository.worktree import find_worktrees, remove_worktree
from champion.retraining.run import FOLDER


def new_name(environment: Environment) -> str:
    """The name of a working tree that no other retraining has."""
    return f"{_prefix(environment)}{token_hex(4)}"


def clear(environment: Environment) -> None:
    """Remove the working trees of the environment's retrainings, also of those that were killed."""
    known, mine = find_worktrees(environment.root), _prefix(environment)
    inside = (environment.root / FOLDER).resolve()
    there = inside.iterdir() if inside.exists() else ()
    for folder in {*there, *known}:
        if folder.parent == inside and folder.name.startswith(mine):
            remove_worktree(environment.root, folder)


def reproduce(work: Path, *stages: str) -> None:
    """Run these stages there, or all. Raises `UserError` when one fails."""
    if run([dvc(), "repro", *stages], work, quiet=False).returncode:
        raise UserError("`dvc repro` failed; its output above says why.")


def _prefix(environment: Environment) -> str:
    return f"work-{environment.name}-"
