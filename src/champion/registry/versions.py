"""Immutable versions of models: their files in the registry's store, what they are in the ledger."""

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from champion.core.errors import UserError
from champion.environments import Environment, load_environment, load_environments
from champion.registry import history
from champion.registry.ledger import Ledger, Row
from champion.registry.stores import Store

if TYPE_CHECKING:
    from champion.model.model import Model

MODEL_FILE = "model.skops"
EXAMPLES_FILE = "examples.json"
TRAINING_ROWS_FILE = "training_rows.u64"


def open_ledger(environment: Environment) -> Ledger:
    """The ledger that the environment shares with those of the same database."""
    return Ledger(environment.database_url, open_registry(environment), environment.name, environment.root)


def open_registry(environment: Environment) -> Store:
    """The store of every registered version's files."""
    return Store(environment.registry_url)


def neighbours(environment: Environment) -> dict[str, Environment]:
    """The environments that share this one's ledger, itself among them; one whose variables are not set does not."""
    here = environment.database_url
    return {name: other for name, other in load_environments(environment.root).items() if _shares(other, here)}


def load(name: str, environment: Environment | None = None) -> "Model":
    """The model of a version (`v3`) or alias (`production`), from the registry; its hash is checked first.

    No code from the file runs. Raises `UserError` when there is no such version or its file is not the registered one.
    """
    environment = environment or load_environment()
    row = history.resolve(open_ledger(environment).rows(), name, neighbours(environment))
    return load_bytes(registered_file(environment, row, MODEL_FILE), str(row.model_sha256))


def load_bytes(content: bytes, sha256: str) -> "Model":
    """The model in these bytes, if they have that hash."""
    from champion.model.model_file import load as load_model

    with tempfile.TemporaryDirectory(prefix="champion-") as folder:
        path = Path(folder) / MODEL_FILE
        path.write_bytes(content)
        return load_model(path, sha256)


def registered_file(environment: Environment, version: Row, name: str) -> bytes:
    """A version's file, as it was registered. Raises `UserError` when it is gone or another."""
    registry, key = open_registry(environment), f"{version.model_sha256}/{name}"
    content = registry.read(key)
    expected = version.details["files"][name]
    if content is None or hashlib.sha256(content).hexdigest() != expected:
        what = "is not there" if content is None else "is not the file that was registered"
        raise UserError(
            f"{registry.url}/{key}: {what} ({version.version}, sha256 {expected}). Restore it from a backup."
        )
    return content


def _shares(other: Environment, database_url: str) -> bool:
    try:
        return other.database_url == database_url
    except UserError:
        return False
