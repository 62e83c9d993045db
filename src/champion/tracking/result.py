"""What `dvc repro` left in a folder, and whether it is what dvc.lock says."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from champion.core.errors import UserError
from champion.core.files import parse_yaml, read_json
from champion.core.layout import EVALUATION, MODEL, PARAMS, PREPARED, TRAINING
from champion.core.strict_yaml import read
from champion.params import Params
from champion.repository.lock import outs_of, read_stages, verify

NEEDED = (MODEL, PREPARED, EVALUATION, TRAINING)


@dataclass(frozen=True)
class Result:
    """What the pipeline left in a folder, all of it what dvc.lock says."""

    root: Path
    outs: Mapping[str, str]
    params: Mapping[str, Any]
    experiment: str | None = None
    commit: str | None = None

    @cached_property
    def identity(self) -> str:
        """SHA-256 of every output's hash and of the params: the same on any machine and in any commit."""
        content = json.dumps({"outs": dict(self.outs), "params": self.params}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def name(self) -> str:
        """What its run is called."""
        return self.experiment or f"result-{self.identity[:8]}"

    def read_optional(self, path: Path) -> dict[str, Any]:
        """A JSON file that the pipeline left, empty when it left none."""
        return read_json(self.root / path) if str(path) in self.outs else {}


def read_result(root: Path, experiment: str | None = None, commit: str | None = None) -> Result:
    """The result in the folder. Raises `UserError` naming the file or param that is not what dvc.lock says."""
    outs = outs_of(root)
    verify(root, outs, chain(NEEDED, (path for path in map(Path, outs) if _is_read(root, path))))
    params = read(Params, root / PARAMS).model_dump(mode="json")
    _verify_params(root)
    return Result(root, outs, params, experiment, commit)


def _verify_params(root: Path) -> None:
    """Raises `UserError` when a stage was run with other params than those in the file."""
    document = parse_yaml((root / PARAMS).read_text(encoding="utf-8"))
    for stage, content in read_stages(root).items():
        for section, value in content.get("params", {}).get(str(PARAMS), {}).items():
            if document.get(section) != value:
                raise UserError(
                    f"{PARAMS}: `{section}` is not what stage {stage} was run with. Run `dvc repro`, then this again."
                )


def _is_read(root: Path, path: Path) -> bool:
    """Whether tracking needs the output: of the data only what is prepared, so a partial `dvc pull` will do."""
    return path.parts[0] != PREPARED.parts[0] or (root / path).exists()
