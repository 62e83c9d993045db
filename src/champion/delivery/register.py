"""Register the model in the workspace as an immutable version: its files in the registry, its data in the ledger."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.core.errors import ConflictError
from champion.core.files import read_json, read_parquet, sha256_of
from champion.core.layout import EVALUATION, MODEL, PARAMS, PREPARED, RUNTIME_LOCK, SCHEMA, TEST, TRAIN, TRAINING
from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import read
from champion.delivery.listeners import follow
from champion.params import Params
from champion.registry import history
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.versions import EXAMPLES_FILE, MODEL_FILE, TRAINING_ROWS_FILE, Version
from champion.repository.committed import is_committed
from champion.repository.lock import verify_run

if TYPE_CHECKING:
    from champion.model.model import Model

EXAMPLES = 20


def register(registry: Registry) -> tuple[Version, bool]:
    """The version of the model in the workspace, and whether it is new. The same model always has the same version.

    Raises `UserError` when the files are not what dvc.lock says, it is of no whole run, or the model file is not one of
    ours.
    """
    from champion.model.model_file import load
    from champion.table.features import describe_features

    root = registry.environment.root
    lineage = verify_run(root, (MODEL, PREPARED, EVALUATION, TRAINING))
    sha256 = sha256_of(root / MODEL)
    known = _registered(registry.rows, sha256)
    if known is not None:
        return known, False
    content = (root / MODEL).read_bytes()
    model = load(root / MODEL, sha256)
    window, training_rows = _window(root)
    files = {MODEL_FILE: content, EXAMPLES_FILE: _examples(model, root), TRAINING_ROWS_FILE: training_rows}
    hashes = {name: hashlib.sha256(file).hexdigest() for name, file in files.items()}
    if hashes[MODEL_FILE] != sha256:
        raise ConflictError(f"{MODEL}: it changed during this command. Run this again when `dvc repro` has ended.")
    details = {
        "files": hashes,
        "metrics": read_metrics(root / EVALUATION),
        "training": read_metrics(root / TRAINING),
        "window": window,
        "features": describe_features(model.features),
        "environment_lock_sha256": sha256_of(root / RUNTIME_LOCK),
        "params": read(Params, root / PARAMS).model_dump(mode="json"),
        "lineage": lineage,
        "dirty": not is_committed(root),
    }
    for name, file in files.items():
        registry.files.write(f"{sha256}/{name}", file)
    with registry.ledger.appending() as session:
        known = _registered(session.rows, sha256)
        if known is not None:
            return known, False
        name = f"v{len(history.versions(session.rows)) + 1}"
        row = session.append("register", version=name, model_sha256=sha256, details=details)
    follow(registry, row)
    return Version.of(row), True


def _registered(rows: list[Row], sha256: str) -> Version | None:
    return next((version for version in history.versions(rows).values() if version.model_sha256 == sha256), None)


def _examples(model: "Model", root: Path) -> bytes:
    """Held-out rows with the model's predictions; a deployed model must give the same predictions."""
    rows = read_parquet(root / TEST).select(feature.name for feature in model.features)
    rows = rows.gather_every(max(rows.height // EXAMPLES, 1)).head(EXAMPLES)
    probabilities = [float(probability) for probability in model.predict(rows)]
    return (json.dumps({"rows": rows.to_dicts(), "probabilities": probabilities}, indent=1) + "\n").encode()


def _window(root: Path) -> tuple[dict[str, Any], bytes]:
    """A description of the training and held-out data, and the keys of the training rows."""
    from champion.registry.training_rows import key_columns, pack, row_keys

    schema = read_json(root / SCHEMA)
    key = key_columns(schema)
    window = {name: value for name, value in schema.items() if name != "features"} | {"key": key}
    return window, pack(row_keys(read_parquet(root / TRAIN), key))
