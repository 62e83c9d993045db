"""What a retraining knows from one step to the next, in a file: each step may run in a process of its own."""

from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from champion.core.errors import ConflictError, UserError
from champion.core.files import read_json, write_json

# All of it is in this folder of the repository.
FOLDER = Path("var/retraining")
FILE = FOLDER / "run.json"

Result = Literal["nothing new", "won", "lost", "deployed"]


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
        return f"retrain/{self.as_of}"

    @property
    def day(self) -> date:
        """The date of the delivered model."""
        return date.fromisoformat(self.as_of)

    def write(self, root: Path, **changes: Any) -> Self:
        """The run with these changes, which is in the file then."""
        changed = replace(self, **changes)
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        write_json(root / FILE, asdict(changed))
        return changed

    @classmethod
    def find(cls, root: Path, environment: str) -> Self | None:
        """The last run of the environment; None without one. Raises `ConflictError` when it cannot be read."""
        if not (root / FILE).exists():
            return None
        try:
            found = cls(**read_json(root / FILE))
        except (UserError, TypeError):
            raise ConflictError(
                f"{FILE} cannot be read: it is damaged, or of another release. Remove it, and begin again with "
                "`champion retrain extract`."
            ) from None
        return found if found.environment == environment else None

    @classmethod
    def read(cls, root: Path, environment: str) -> Self:
        """The same. Raises `ConflictError` when none has begun."""
        found = cls.find(root, environment)
        if found is None:
            raise ConflictError(f"no retraining of {environment} has begun. Begin with `champion retrain extract`.")
        return found
