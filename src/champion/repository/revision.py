"""The results in a revision: metrics, verdicts, params, plots and lock, read from git without credentials."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from champion.core.errors import NotFoundError, UserError
from champion.core.layout import EVALUATION, LOCK, METRICS, PARAMS, SEGMENTS, TEST, TRAINING, VALIDATION
from champion.core.metrics_file import metrics_of
from champion.core.yaml_text import parse_yaml
from champion.repository import git
from champion.repository.lock import parse_stages


@dataclass(frozen=True)
class Revision:
    """The files of a git commit, or of the working tree when `commit` is None.

    A missing file reads as empty. A file that exists but cannot be read raises `UserError`.
    """

    root: Path
    name: str
    commit: str | None = None

    def read(self, path: Path) -> str | None:
        """A file's text, or None when the revision has no such file."""
        if self.commit is None:
            file = self.root / path
            content = file.read_bytes() if file.is_file() else None
        else:
            content = git.read_file(self.root, self.commit, str(path))
        try:
            return None if content is None else content.decode()
        except UnicodeDecodeError:
            raise UserError(f"{path} of {self.name}: not UTF-8 text. {self._fix}") from None

    def json(self, path: Path) -> dict[str, Any]:
        """A JSON object, empty when the revision has no such file."""
        return self._mapping(path, json.loads, "a JSON object")

    def yaml(self, path: Path) -> dict[str, Any]:
        """A YAML mapping, empty when the revision has no such file."""
        return self._mapping(path, parse_yaml, "a YAML mapping")

    def table(self, path: Path) -> list[dict[str, str]]:
        """The rows of a CSV file by column, empty when the revision has no such file."""
        lines = csv.DictReader(io.StringIO(self.read(path) or ""))
        return [{column: row[column] or "" for column in lines.fieldnames or ()} for row in lines]

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """The metrics of the test, by name."""
        return self._metrics(EVALUATION)

    @cached_property
    def training(self) -> dict[str, Any]:
        """The metrics of the rehearsals that chose the recipe, by name."""
        return self._metrics(TRAINING)

    @property
    def outcome(self) -> str | None:
        """The column that its params.yaml predicts; None if it does not say."""
        columns = self.yaml(PARAMS).get("columns")
        declared = columns.items() if isinstance(columns, dict) else ()
        return next(
            (str(name) for name, spec in declared if isinstance(spec, dict) and spec.get("role") == "label"), None
        )

    def has_test_of(self, other: "Revision") -> bool:
        """Whether dvc.lock names the same test rows on both sides."""
        return self.hashes.get(str(TEST)) == other.hashes.get(str(TEST))

    @property
    def rows(self) -> dict[str, Any]:
        """How many rows each table has, by name."""
        tables = self.json(VALIDATION).get("tables", [])
        return {table["name"]: table["rows"] for table in tables}

    @property
    def worst_segment(self) -> dict[str, Any] | None:
        """The metrics of the segment with the lowest ROC AUC; None without segments."""
        return next(iter(self.json(SEGMENTS).get("worst", [])), None)

    @property
    def has_model(self) -> bool:
        """Whether the pipeline was ever run here, so that there is a lock or there are metrics."""
        return bool(self.evaluation) or self.read(LOCK) is not None

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The hash of every output and of the environment, by path, from dvc.lock."""
        text = self.read(LOCK)
        try:
            stages = {} if text is None else parse_stages(text)
        except ValueError as error:
            raise UserError(f"{LOCK} of {self.name}: {error}. {self._fix}") from None
        files = [file for stage in stages.values() for kind in ("outs", "deps") for file in stage.get(kind, [])]
        return {file["path"]: file["md5"] for file in files if "md5" in file}

    def _metrics(self, path: Path) -> dict[str, Any]:
        try:
            return metrics_of(self.json(path))
        except ValueError as error:
            raise UserError(f"{path} of {self.name}: {error}. {self._fix}") from None

    def _mapping(self, path: Path, parse: Callable[[str], Any], kind: str) -> dict[str, Any]:
        text = self.read(path)
        try:
            content = {} if text is None else parse(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise UserError(f"{path} of {self.name}: not {kind}. {self._fix}")
        return content

    @property
    def _fix(self) -> str:
        return "Run `dvc repro`." if self.commit is None else "Repair that branch first, or compare with another one."


@dataclass(frozen=True)
class OtherOutcome(Revision):
    """A revision that predicts another column: it has params, and no results to compare with."""

    def read(self, path: Path) -> str | None:
        """A file's text, or None when the revision has no such file, and for every result."""
        return None if path == LOCK or path.is_relative_to(METRICS) else super().read(path)


def baseline(base: Revision, head: Revision) -> Revision:
    """The base, without its results if it predicts another column than `head`."""
    if not base.has_model or base.outcome == head.outcome:
        return base
    return OtherOutcome(base.root, base.name, base.commit)


def working_tree(root: Path) -> Revision:
    """The current files."""
    return Revision(root, "the working tree")


def revision(root: Path, name: str) -> Revision:
    """The commit that a branch, tag or hash names. Raises `NotFoundError` when there is no such commit."""
    commit = git.commit_of(root, name)
    if commit is None:
        raise NotFoundError(
            f"{name!r}: no such branch, tag or commit. Fetch it (`git fetch origin`), or name another one with --base."
        )
    return Revision(root, name, commit)


def default_base(root: Path) -> str:
    """The branch to merge into: `origin/main` if it was fetched, else `main`."""
    return "origin/main" if git.commit_of(root, "refs/remotes/origin/main") is not None else "main"
