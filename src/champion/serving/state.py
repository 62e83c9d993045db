"""What the workers of a server serve: a file that the supervisor writes, and the models beside it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from champion.core.files import replacing

FILE = "state.json"


@dataclass(frozen=True)
class State:
    """What to serve. `number` grows with each change.

    `versions` has the SHA-256 of the ONNX file of each version that may answer: the `live` one, those that `flags` (a
    flagd document) can choose, and the `shadow`. `keys` are the hashes of the API keys, as the ledger has them.
    """

    number: int
    environment: str
    live: str
    versions: Mapping[str, str]
    flags: Mapping[str, Any] | None = None
    shadow: str | None = None
    keys: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Let the workers of this folder serve this."""
        with replacing(folder / FILE) as draft:
            draft.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The state that the supervisor wrote last."""
        return cls(**json.loads((folder / FILE).read_bytes()))


def model_path(folder: Path, sha256: str) -> Path:
    """Where a server keeps the ONNX file with this hash."""
    return folder / f"{sha256}.onnx"
