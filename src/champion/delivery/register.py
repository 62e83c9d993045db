"""Register the models in the workspace as an immutable version: files in the registry, data in the ledger."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from champion.core.errors import ConflictError
from champion.core.files import read_json, read_parquet, sha256_of
from champion.core.layout import (
    AT_SPLIT,
    EVALUATION,
    EXPORT,
    GATES,
    LABELLED,
    MODEL,
    MODEL_ONNX,
    PARAMS,
    PARTS,
    REFERENCE,
    REFERENCE_ROWS,
    REHEARSALS,
    REHEARSED,
    RUNTIME_LOCK,
    SCHEMA,
    TEST,
    TRAINING,
)
from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import read
from champion.delivery.gate import foreign_metrics
from champion.delivery.listeners import follow
from champion.params import Params
from champion.registry import history
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.versions import (
    EXAMPLES_FILE,
    FORMAT,
    MODEL_FILE,
    ONNX_FILE,
    REFERENCE_FILE,
    REFERENCE_ROWS_FILE,
    REHEARSED_FILE,
    TRAINING_ROWS_FILE,
    Version,
)
from champion.repository.committed import is_committed
from champion.repository.lock import verify_run

if TYPE_CHECKING:
    from champion.model.model import Model
    from champion.model.onnx_scorer import OnnxScorer

EXAMPLES = 20
# The files of a version that the pipeline made.
MADE = {
    MODEL_FILE: MODEL,
    ONNX_FILE: MODEL_ONNX,
    REHEARSED_FILE: REHEARSED,
    REFERENCE_FILE: REFERENCE,
    REFERENCE_ROWS_FILE: REFERENCE_ROWS,
}
READ = (*MADE.values(), AT_SPLIT, TEST, SCHEMA, PARTS, EVALUATION, EXPORT, GATES, REHEARSALS, TRAINING)


def register(registry: Registry) -> tuple[Version, bool]:
    """The version of the models in the workspace, and whether it is new.

    The same pair of models always has the same version; its files that the registry lost are written again. Raises
    `UserError` when the files differ from dvc.lock, dvc.lock is not from one complete run, the metrics are about other
    models, a model file is not one of ours, or the version was registered with other files.
    """
    from champion.model.model_file import load
    from champion.model.onnx_scorer import OnnxScorer
    from champion.registry.training_rows import learned
    from champion.table.features import describe_features

    root = registry.workspace
    lineage = verify_run(root, READ)
    expected = {name: sha256_of(root / path) for name, path in MADE.items()}
    known = _registered(registry.rows, expected)
    if known is not None:
        _restore(registry, known, expected)
        return known, False
    reasons = foreign_metrics(root, GATES, (MODEL, REHEARSED)) + foreign_metrics(root, EXPORT, (MODEL, MODEL_ONNX))
    if reasons:
        raise ConflictError(reasons[0])
    # Whoever reads it from the registry relies on its form.
    read_json(root / REFERENCE)
    read_parquet(root / REFERENCE_ROWS)
    files = {name: (root / path).read_bytes() for name, path in MADE.items()}
    model, _ = (load(root / MADE[name], expected[name]) for name in (MODEL_FILE, REHEARSED_FILE))
    window, training_rows = learned(root / SCHEMA, root / PARTS, root / AT_SPLIT / LABELLED)
    examples = _examples(model, OnnxScorer.open(root / MODEL_ONNX, expected[ONNX_FILE]), root)
    files |= {EXAMPLES_FILE: examples, TRAINING_ROWS_FILE: training_rows}
    hashes = {name: hashlib.sha256(file).hexdigest() for name, file in files.items()}
    for name, path in MADE.items():
        if hashes[name] != expected[name]:
            raise ConflictError(f"{path}: it changed during this command. Run this again when `dvc repro` has ended.")
    params = read(Params, root / PARAMS)
    details = {
        "format": FORMAT,
        "files": hashes,
        "metrics": read_metrics(root / EVALUATION),
        "training": read_metrics(root / TRAINING),
        "export": read_metrics(root / EXPORT),
        "rehearsals": read_json(root / REHEARSALS)["rehearsals"],
        "window": window,
        "features": describe_features(model.features),
        "environment_lock_sha256": sha256_of(root / RUNTIME_LOCK),
        "params": params.model_dump(mode="json"),
        "columns": list(params.columns),
        "lineage": lineage,
        "dirty": not is_committed(root),
    }
    registry.ledger.begin()
    for name, file in files.items():
        registry.files.write(f"{hashes[name]}/{name}", file)
    with registry.ledger.appending() as session:
        known = _registered(session.rows, hashes)
        if known is not None:
            return known, False
        name = f"v{len(history.versions(session.rows)) + 1}"
        row = session.append("register", version=name, model_sha256=hashes[MODEL_FILE], details=details)
    follow(registry, row)
    return Version.of(row), True


def _restore(registry: Registry, version: Version, found: Mapping[str, str]) -> None:
    """Write the version's files that the registry lacks. Raises `ConflictError` when one on disk is another file."""
    for name, path in MADE.items():
        if found[name] != version.files[name]:
            raise ConflictError(
                f"{path}: {version.name} is this pair of models, and was registered with another {name}. A version "
                "never changes: check out its commit, or make another one, for example with a later `as_of`."
            )
    lost = {name: path for name, path in MADE.items() if registry.files.read(version.key(name)) is None}
    if lost:
        registry.ledger.begin()
    for name, path in lost.items():
        registry.files.write(version.key(name), (registry.workspace / path).read_bytes())


def _registered(rows: list[Row], hashes: Mapping[str, str]) -> Version | None:
    """The version with this pair of models; None if there is none of this format."""
    pair = (MODEL_FILE, REHEARSED_FILE)
    known = (one for one in history.versions(rows).values() if one.format == FORMAT)
    return next((one for one in known if all(one.files[name] == hashes[name] for name in pair)), None)


def _examples(model: "Model", scorer: "OnnxScorer", root: Path) -> bytes:
    """Test rows with the predictions of the delivered model, which both of its files must give wherever they serve."""
    from champion.model.onnx_scorer import TOLERANCE

    rows = read_parquet(root / TEST).select(feature.name for feature in model.features)
    rows = rows.gather_every(max(rows.height // EXAMPLES, 1)).head(EXAMPLES)
    probabilities = model.predict(rows)
    # A comparison with NaN is false, so an answer that is NaN is no agreement.
    agree = abs(scorer.predict(rows) - probabilities).max(initial=0.0) <= TOLERANCE
    if not agree or scorer.manifest != model.manifest:
        raise ConflictError(f"{MODEL_ONNX}: it is another model than {MODEL}. Run `dvc repro` to make it again.")
    return (json.dumps({"rows": rows.to_dicts(), "probabilities": probabilities.tolist()}, indent=1) + "\n").encode()
