"""An environment's ledger and stores. A command opens them once and passes them on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from champion.core.errors import ConflictError, UserError
from champion.environments import Environment, load_environment, load_environments
from champion.registry import standing
from champion.registry.chain import Row
from champion.registry.ledger import Ledger
from champion.registry.stores import Store
from champion.registry.versions import MODEL_FILE, Version, load_bytes

if TYPE_CHECKING:
    from champion.model.model import Model


@dataclass(frozen=True)
class Registry:
    """The ledger and the stores of one environment.

    `files` has the files of every version, and `store` has the files that the environment serves. `sharing` has all
    environments with the same ledger, including this one, but none whose variables are not set.
    """

    environment: Environment
    ledger: Ledger
    files: Store
    store: Store
    sharing: Mapping[str, Environment]

    @classmethod
    def open(cls, environment: Environment, workspace: Path | None = None) -> Self:
        """Open the environment's ledger and stores. Raises `UserError` when a variable of its addresses is not set.

        `workspace` is the working tree with the models, by default the environment's repository.
        """
        files, url = Store(environment.registry_url), environment.database_url
        root = workspace or environment.root
        ledger = Ledger(url, files, environment.name, root, environment.ledger_public_keys)
        others = load_environments(environment.root)
        sharing = {name: other for name, other in others.items() if _database_url(other) == url}
        return cls(environment, ledger, files, Store(environment.model_store_url), sharing)

    @property
    def workspace(self) -> Path:
        """The working tree with the models that are registered and judged."""
        return self.ledger.root

    @cached_property
    def rows(self) -> list[Row]:
        """Every row of the ledger, read once; `ledger.rows()` reads them again."""
        return self.ledger.rows()

    def of(self, environment: Environment) -> "Registry":
        """The same ledger and files with the store of another environment of `sharing`."""
        return replace(self, environment=environment, store=Store(environment.model_store_url))

    def resolve(self, name: str) -> Version:
        """The version with that name or alias. Raises `NotFoundError` listing the known names."""
        return standing.resolve(self.rows, name, self.sharing)

    def read_file(self, version: Version, name: str) -> bytes:
        """A version's file, as it was registered. Raises `ConflictError` when it is missing or was changed."""
        content, expected = self.files.read(version.key(name)), version.files[name]
        if content is None or hashlib.sha256(content).hexdigest() != expected:
            what = "is missing" if content is None else "is not the file that was registered"
            raise ConflictError(
                f"{self.files.url}/{version.key(name)} {what} ({version.name}, sha256 {expected}). Restore it from a "
                "backup."
            )
        return content

    def load_model(self, name: str) -> "Model":
        """The model of a version (`v3`) or alias (`production`). The hash is checked first; no code from it runs."""
        version = self.resolve(name)
        return load_bytes(self.read_file(version, MODEL_FILE), version.model_sha256)


def load(name: str, environment: str | None = None, root: Path = Path()) -> "Model":
    """The model of a version or alias, from the registry of an environment.

    Raises `UserError` when there is no such version, or its file differs from the registered one.
    """
    return Registry.open(load_environment(environment, root)).load_model(name)


def _database_url(environment: Environment) -> str | None:
    try:
        return environment.database_url
    except UserError:
        return None
