"""What a retraining knows from one step to the next, in a file: each step may run in a process of its own."""

from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from champion.core.errors import ConflictError, UserError
from champion.core.files import read_json, write_json

# All of it is in this folder of the repository.
FOLDER = Path("var/retraining")

Result = Literal["nothing new", "won", "lost", "deployed"]
_TOLD = {
    "nothing new": "nothing to learn from",
    "lost": "{run.version} lost its challenge, so nothing is deployed",
    "won": "{run.version} won its challenge",
    "deployed": "{run.version} is deployed to {run.environment}",
}


@dataclass(frozen=True)
class Run:
    """The retraining of an environment as of a date, from a commit of the default branch.

    `work` is the name of its working tree, which no other run has: what a killed one still does cannot change it.
    `commit` has its outputs, and `version` is what it registered. `result` is None until the challenge ended.
    """

    environment: str
    as_of: str
    base: str
    work: str
    commit: str | None = None
    version: str | None = None
    result: Result | None = None

    @property
    def branch(self) -> str:
        """The branch with its commit."""
        return branch_of(self.as_of)

    @property
    def day(self) -> date:
        """The date of the delivered model."""
        return date.fromisoformat(self.as_of)

    def describe(self) -> str:
        """How it ended. It must have a result."""
        return _TOLD[str(self.result)].format(run=self)

    def write(self, root: Path, **changes: Any) -> Self:
        """The run with these changes, which is in the file then."""
        changed = replace(self, **changes)
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        write_json(root / file_of(self.environment), asdict(changed))
        return changed

    @classmethod
    def find(cls, root: Path, environment: str) -> Self | None:
        """The last run of the environment; None without one. Raises `ConflictError` when it cannot be read."""
        file = file_of(environment)
        if not (root / file).exists():
            return None
        try:
            return cls(**read_json(root / file))
        except (UserError, TypeError):
            raise ConflictError(
                f"{file} cannot be read: it is damaged, or of another release. Remove it, and begin again with "
                "`champion retrain extract`."
            ) from None

    @classmethod
    def read(cls, root: Path, environment: str) -> Self:
        """The same. Raises `ConflictError` when none has begun."""
        found = cls.find(root, environment)
        if found is None:
            raise ConflictError(f"no retraining of {environment} has begun. Begin with `champion retrain extract`.")
        return found


def branch_of(as_of: str) -> str:
    """The branch with the result of that date."""
    return f"retrain/{as_of}"


def file_of(environment: str) -> Path:
    """Where the last run of the environment is kept."""
    return FOLDER / f"{environment}.json"
