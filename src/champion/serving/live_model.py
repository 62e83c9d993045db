"""What a worker answers with: open models of the versions in a `State`, replaced as a whole when the state changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from prometheus_client import Counter

from champion.core.errors import UserError
from champion.environments import Serving
from champion.flags import Flags
from champion.model.onnx_scorer import OnnxScorer, Reading
from champion.registry.api_keys import ApiKeys
from champion.serving.metrics import ROWS
from champion.serving.openapi import describe_api
from champion.serving.schema import encode, required_columns
from champion.serving.state import State, model_path
from champion.table.exclusions import Exclusions, parse_exclusions
from champion.table.features import Feature


@dataclass(frozen=True)
class OpenVersion:
    """A version that can answer."""

    name: str
    scorer: OnnxScorer
    exclusions: Exclusions
    # Columns that a row must have besides the features.
    required: list[str]
    # All columns of a row that are read.
    columns: list[str]
    rows: Counter

    @classmethod
    def open(cls, name: str, path: Path, sha256: str) -> Self:
        """Open the version's ONNX file. Raises `UserError` when it has another hash or is no model."""
        scorer = OnnxScorer.open(path, sha256)
        manifest = scorer.manifest
        try:
            exclusions = parse_exclusions(manifest.exclusions)
        except ValueError:
            raise UserError(f"{name} excludes rows by rules that this release cannot read. Update champion.") from None
        required = required_columns(manifest)
        columns = [*(feature.name for feature in manifest.features), *required]
        return cls(name, scorer, exclusions, required, columns, ROWS.labels(name))

    @property
    def features(self) -> list[Feature]:
        """The columns that the model reads."""
        return self.scorer.features

    @cached_property
    def reference(self) -> Reading | None:
        """What the model reads in the row with which reasons compare; None in a version of before there was one."""
        reference = self.scorer.manifest.reference
        return None if reference is None else self.scorer.read(reference)


@dataclass(frozen=True)
class LiveModel:
    """The open versions of one state, with its flags and keys."""

    state: State
    versions: Mapping[str, OpenVersion]
    flags: Flags | None
    keys: ApiKeys

    @classmethod
    def open(cls, state: State, folder: Path, before: "LiveModel | None" = None) -> Self:
        """Open what the state names, but keep what `before` has open. Raises `UserError` when a part is broken."""
        versions = {}
        for name, sha256 in state.versions.items():
            kept = before is not None and before.state.versions.get(name) == sha256
            versions[name] = (
                before.versions[name] if before and kept else OpenVersion.open(name, model_path(folder, sha256), sha256)
            )
        if before is not None and before.state.flags == state.flags:
            flags = before.flags
        else:
            flags = None if state.flags is None else Flags.parse(state.flags)
        named = {state.live, state.shadow or state.live, *(flags.versions if flags is not None else ())}
        if not named <= set(versions):
            raise UserError(f"the rollout names {', '.join(sorted(named - set(versions)))}, whose files are not here.")
        return cls(state, versions, flags, ApiKeys.parse(state.keys))

    def close_what_left(self, after: "LiveModel") -> None:
        """Close what the next one does not use."""
        if self.flags is not None and self.flags is not after.flags:
            self.flags.close()

    @cached_property
    def live(self) -> OpenVersion:
        """The version that the environment serves."""
        return self.versions[self.state.live]

    @cached_property
    def shadow(self) -> OpenVersion | None:
        """The version that scores all rows without answering."""
        return None if self.state.shadow is None else self.versions[self.state.shadow]

    @cached_property
    def description(self) -> bytes:
        """The answer of `/v1/model`."""
        state, manifest = self.state, self.live.scorer.manifest
        described: dict[str, Any] = {
            "environment": state.environment,
            "version": state.live,
            "sha256": state.versions[state.live],
            "versions": sorted(state.versions),
            "shadow": state.shadow,
            **manifest.describe(),
        }
        return encode(described)

    def document(self, settings: Serving) -> bytes:
        """The OpenAPI document for the live version."""
        return encode(describe_api(self.live.scorer.manifest, settings))
