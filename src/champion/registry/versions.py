"""Immutable versions of models: their data in the ledger, and their files, which are checked by hash."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from champion.core.errors import ConflictError
from champion.registry.chain import Row

if TYPE_CHECKING:
    from champion.model.model import Model

# The format of a new version. In format 1 there was one model; format 2 has a judged and a delivered one; format 3 has
# the ONNX file and the drift reference besides, and keeps each file under its own hash, so versions can share files,
# and it keeps the order of the columns; format 4 has some of the reference's rows.
FORMAT = 4

# The delivered model.
MODEL_FILE = "model.skops"
# The same model for servers.
ONNX_FILE = "model.onnx"
# The model that gate, challenge and metrics judge: the same recipe, made before the test rows.
REHEARSED_FILE = "rehearsed.skops"
# What drift compares rows with.
REFERENCE_FILE = "reference.json"
# Some of the rows that the reference was made of, from which a classifier tries to tell others.
REFERENCE_ROWS_FILE = "reference_rows.parquet"
EXAMPLES_FILE = "examples.json"
TRAINING_ROWS_FILE = "training_rows.u64"


@dataclass(frozen=True)
class Version:
    """A registered pair of models, delivered and judged. The same pair is always the same version.

    `files` are SHA-256 by name, `window` is the data that the models were made from.
    `metrics` are those of the judged model on its test rows, and `rehearsals` those of its recipe at earlier dates:
    none for a version that was registered before they were recorded. `lineage` is the MD5 of every output of its
    pipeline; `dirty` whether its commit alone does not make them, None for a version that was registered before this
    was recorded.
    """

    name: str
    format: int
    model_sha256: str
    registered: str
    git_commit: str | None
    files: Mapping[str, str]
    metrics: Mapping[str, Any]
    rehearsals: Sequence[Mapping[str, Any]]
    training: Mapping[str, Any]
    window: Mapping[str, Any]
    features: Sequence[Mapping[str, Any]]
    params: Mapping[str, Any]
    lineage: Mapping[str, str]
    dirty: bool | None

    @classmethod
    def of(cls, row: Row) -> Self:
        """The version that the row registered."""
        details = row.details
        return cls(
            name=str(row.version),
            format=details.get("format", 2 if REHEARSED_FILE in details["files"] else 1),
            model_sha256=str(row.model_sha256),
            registered=row.time,
            git_commit=row.git_commit,
            files=details["files"],
            metrics=details["metrics"],
            rehearsals=details.get("rehearsals", []),
            training=details["training"],
            window=details["window"],
            features=details["features"],
            params=_in_order(details["params"], details.get("columns")),
            lineage=details.get("lineage", {}),
            dirty=details.get("dirty"),
        )

    @property
    def judged_file(self) -> str:
        """The file of the judged model; a version that was registered before there were two models has only one."""
        return REHEARSED_FILE if REHEARSED_FILE in self.files else MODEL_FILE

    @property
    def feature_names(self) -> list[str]:
        """The columns that its models read."""
        return [str(feature["name"]) for feature in self.features]

    @property
    def pair(self) -> tuple[str, str]:
        """SHA-256 of the delivered and of the judged model."""
        return self.model_sha256, self.files[self.judged_file]

    @property
    def models(self) -> dict[str, str]:
        """SHA-256 by name of the files of the delivered model; an older version has no ONNX file."""
        return {name: self.files[name] for name in (MODEL_FILE, ONNX_FILE) if name in self.files}

    @property
    def served(self) -> dict[str, str]:
        """SHA-256 by name of the files that an environment's store gets."""
        return self.models | {EXAMPLES_FILE: self.files[EXAMPLES_FILE]}

    def require_onnx(self) -> str:
        """SHA-256 of the file that servers open. Raises `ConflictError` for an older version, which has none."""
        if ONNX_FILE not in self.files:
            raise ConflictError(
                f"{self.name} was registered by an older release and has no {ONNX_FILE}, which servers and `champion "
                "score` need. Choose a newer version."
            )
        return self.files[ONNX_FILE]

    def key(self, file: str) -> str:
        """The key of the version's file in a store."""
        return f"{self.files[file] if self.format >= 3 else self.model_sha256}/{file}"


def _in_order(params: Mapping[str, Any], columns: Sequence[str] | None) -> Mapping[str, Any]:
    """The params with their columns in order, which the ledger's sorted JSON does not keep."""
    if columns is None:
        return params
    return {**params, "columns": {name: params["columns"][name] for name in columns}}


def load_bytes(content: bytes, sha256: str) -> "Model":
    """The model in these bytes. Raises `UserError` when they have another hash or are no model."""
    from champion.model.model_file import load

    with tempfile.TemporaryDirectory(prefix="champion-") as folder:
        path = Path(folder) / MODEL_FILE
        path.write_bytes(content)
        return load(path, sha256)
