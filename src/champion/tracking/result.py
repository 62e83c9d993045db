"""The outputs of `dvc repro` in a folder, and whether they agree with dvc.lock."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from champion.core.errors import UserError
from champion.core.files import read_json
from champion.core.layout import (
    AT_AS_OF,
    AT_SPLIT,
    CARD,
    EVALUATION,
    METRICS,
    MODEL,
    PARAMS,
    PARTS,
    REHEARSED,
    SCHEMA,
    TEST,
    TRAINING,
)
from champion.core.strict_yaml import read
from champion.params import Params
from champion.repository.lock import outs_of, parse, read_stages, verify

NEEDED = (MODEL, REHEARSED, AT_SPLIT, AT_AS_OF, TEST, SCHEMA, PARTS, EVALUATION, TRAINING)


@dataclass(frozen=True)
class Result:
    """The outputs of the pipeline in a folder; all agree with dvc.lock."""

    root: Path
    outs: Mapping[str, str]
    params: Mapping[str, Any]
    experiment: str | None = None
    commit: str | None = None

    @cached_property
    def identity(self) -> str:
        """SHA-256 of all output hashes and params: equal for equal results, on any machine and in any commit."""
        content = json.dumps({"outs": dict(self.outs), "params": self.params}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def name(self) -> str:
        """The name of the result's run."""
        return self.experiment or f"result-{self.identity[:8]}"

    def read_optional(self, path: Path) -> dict[str, Any]:
        """A JSON output of the pipeline, empty if there is none."""
        return read_json(self.root / path) if str(path) in self.outs else {}


def read_result(root: Path, experiment: str | None = None, commit: str | None = None) -> Result:
    """The result in the folder. Raises `UserError` naming the file or param that differs from dvc.lock."""
    outs = outs_of(root)
    verify(root, outs, chain(NEEDED, (path for path in map(Path, outs) if _is_read(root, path))))
    params = read(Params, root / PARAMS).model_dump(mode="json")
    _verify_params(root)
    return Result(root, outs, params, experiment, commit)


def _verify_params(root: Path) -> None:
    """Raise `UserError` when a stage ran with other params than those in the file."""
    document = parse((root / PARAMS).read_text(encoding="utf-8"))
    for stage, content in read_stages(root).items():
        for section, value in content.get("params", {}).get(str(PARAMS), {}).items():
            if document.get(section) != value:
                raise UserError(
                    f"{PARAMS}: `{section}` changed since stage {stage} ran. Run `dvc repro`, then run this again."
                )


def _is_read(root: Path, path: Path) -> bool:
    """Whether tracking reads the output. Others may be missing, so a partial `dvc pull` is enough."""
    return path.parts[0] == METRICS.name or path == CARD or (root / path).exists()
