"""Make the model that `dvc repro` left an immutable version: its files in the registry, what it is in the ledger."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.core.errors import UserError
from champion.core.files import read_json, sha256_of
from champion.core.layout import EVALUATION, MODEL, PREPARED, RUNTIME_LOCK, TRAINING
from champion.core.strict_yaml import read
from champion.delivery.listeners import follow
from champion.environments import Environment
from champion.registry import history
from champion.registry.ledger import Row
from champion.registry.versions import EXAMPLES_FILE, MODEL_FILE, TRAINING_ROWS_FILE, open_ledger, open_registry
from champion.repository.lock import outs_of, verify

if TYPE_CHECKING:
    from champion.model.model import Model

EXAMPLES = 20


def register(environment: Environment) -> tuple[Row, bool]:
    """The version of the model that `dvc repro` left, and whether it is new: the same model is the same version.

    Raises `UserError` when the files are not what dvc.lock says, or the model file is not one of ours.
    """
    from champion.model.model_file import load as load_model

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
        "environment_lock_sha256": sha256_of(root / RUNTIME_LOCK),
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


def _registered(rows: list[Row], sha256: str) -> Row | None:
    return next((row for row in history.versions(rows).values() if row.model_sha256 == sha256), None)


def _examples(model: "Model", root: Path) -> bytes:
    """Held-out rows with the model's own answers, which it must give wherever it is deployed."""
    from champion.core.files import read_parquet

    rows = read_parquet(root / PREPARED / "test.parquet").select(feature.name for feature in model.features)
    rows = rows.gather_every(max(rows.height // EXAMPLES, 1)).head(EXAMPLES)
    probabilities = [float(probability) for probability in model.predict(rows)]
    return (json.dumps({"rows": rows.to_dicts(), "probabilities": probabilities}, indent=1) + "\n").encode()


def _window(root: Path) -> tuple[dict[str, Any], bytes]:
    """What the model was trained and tested on, and the keys of the rows it was trained on."""
    from champion.core.files import read_parquet
    from champion.registry.training_rows import key_columns, pack, row_keys

    schema = read_json(root / PREPARED / "schema.json")
    key = key_columns(schema)
    window = {name: value for name, value in schema.items() if name != "features"} | {"key": key}
    return window, pack(row_keys(read_parquet(root / PREPARED / "train.parquet"), key))


def _params(root: Path) -> dict[str, Any]:
    from champion.core.layout import PARAMS
    from champion.params import Params

    return read(Params, root / PARAMS).model_dump(mode="json")
