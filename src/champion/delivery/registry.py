"""Immutable versions of models: their files in the registry's store, what they are in the ledger."""

import hashlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.artifacts import read_json, sha256_of
from champion.delivery import history
from champion.delivery.followers import follow
from champion.delivery.ledger import Ledger, Row
from champion.delivery.lineage import outs_of, verify
from champion.delivery.storage import Store
from champion.environments import Environment, load_environment, load_environments
from champion.errors import UserError

if TYPE_CHECKING:
    from champion.modeling.store import Model

MODEL = Path("models/model.skops")
PREPARED = Path("data/prepared")
EVALUATION = Path("metrics/evaluation.json")
TRAINING = Path("metrics/training.json")
ENVIRONMENT_LOCK = Path("requirements/runtime.txt")

MODEL_FILE = "model.skops"
EXAMPLES_FILE = "examples.json"
TRAINING_ROWS_FILE = "training_rows.u64"
EXAMPLES = 20


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


def register(environment: Environment) -> tuple[Row, bool]:
    """The version of the model that `dvc repro` left, and whether it is new: the same model is the same version.

    Raises `UserError` when the files are not what dvc.lock says, or the model file is not one of ours.
    """
    from champion.modeling.store import load as load_model

    root = environment.root
    lineage = outs_of(root)
    verify(root, lineage, (MODEL, PREPARED, EVALUATION, TRAINING))
    sha256 = sha256_of(root / MODEL)
    ledger, registry = open_ledger(environment), open_registry(environment)
    known = _registered(ledger.rows(), sha256)
    if known is not None:
        return known, False
    content = (root / MODEL).read_bytes()
    model = load_model(root / MODEL, sha256)
    examples = _examples(model, root)
    window, training_rows = _window(root)
    files = {MODEL_FILE: content, EXAMPLES_FILE: examples, TRAINING_ROWS_FILE: training_rows}
    hashes = {name: hashlib.sha256(file).hexdigest() for name, file in files.items()}
    if hashes[MODEL_FILE] != sha256:
        raise UserError(f"{MODEL}: it changed while it was read. Run this again when `dvc repro` is done.")
    details = {
        "files": hashes,
        "metrics": read_json(root / EVALUATION),
        "training": read_json(root / TRAINING),
        "window": window,
        "features": [asdict(feature) for feature in model.features],
        "environment_lock_sha256": sha256_of(root / ENVIRONMENT_LOCK),
        "params": _params(root),
        "lineage": lineage,
    }
    for name, file in files.items():
        registry.write(f"{sha256}/{name}", file)
    with ledger.appending() as session:
        known = _registered(session.rows, sha256)
        if known is not None:
            return known, False
        version = f"v{len(history.versions(session.rows)) + 1}"
        row = session.append("register", version=version, model_sha256=sha256, details=details)
    follow(environment, row)
    return row, True


def load(name: str, environment: Environment | None = None) -> "Model":
    """The model of a version (`v3`) or alias (`production`), from the registry; its hash is checked first.

    No code from the file runs. Raises `UserError` when there is no such version or its file is not the registered one.
    """
    environment = environment or load_environment()
    row = history.resolve(open_ledger(environment).rows(), name, neighbours(environment))
    return load_bytes(registered_file(environment, row, MODEL_FILE), str(row.model_sha256))


def load_bytes(content: bytes, sha256: str) -> "Model":
    """The model in these bytes, if they have that hash."""
    from champion.modeling.store import load as load_model

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


def _registered(rows: list[Row], sha256: str) -> Row | None:
    return next((row for row in history.versions(rows).values() if row.model_sha256 == sha256), None)


def _shares(other: Environment, database_url: str) -> bool:
    try:
        return other.database_url == database_url
    except UserError:
        return False


def _examples(model: "Model", root: Path) -> bytes:
    """Held-out rows with the model's own answers, which it must give wherever it is deployed."""
    from champion.artifacts import read_parquet

    rows = read_parquet(root / PREPARED / "test.parquet").select(feature.name for feature in model.features)
    rows = rows.gather_every(max(rows.height // EXAMPLES, 1)).head(EXAMPLES)
    probabilities = [float(probability) for probability in model.predict(rows)]
    return (json.dumps({"rows": rows.to_dicts(), "probabilities": probabilities}, indent=1) + "\n").encode()


def _window(root: Path) -> tuple[dict[str, Any], bytes]:
    """What the model was trained and tested on, and the keys of the rows it was trained on."""
    from champion.artifacts import read_parquet
    from champion.delivery.held_out import key_columns, pack, row_keys

    schema = read_json(root / PREPARED / "schema.json")
    key = key_columns(schema)
    window = {name: value for name, value in schema.items() if name != "features"} | {"key": key}
    return window, pack(row_keys(read_parquet(root / PREPARED / "train.parquet"), key))


def _params(root: Path) -> dict[str, Any]:
    from champion.params import PARAMS_FILE, Params
    from champion.params import load as load_params

    return load_params(Params, root / PARAMS_FILE).model_dump(mode="json")
