"""What a revision says of its model: metrics, verdicts, params, plots and lock, read from git without credentials."""

import csv
import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from champion.core.errors import NotFoundError, UserError
from champion.core.layout import EVALUATION, LOCK
from champion.repository import git
from champion.repository.lock import parse_stages


@dataclass(frozen=True)
class Revision:
    """The files of a git commit, or of the working tree when `commit` is None.

    A file that is not there reads as empty. One that is there but cannot be read raises `UserError`: nothing is
    compared with a guess.
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
        text = self.read(path)
        try:
            content = {} if text is None else json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise UserError(f"{path} of {self.name}: not a JSON object. {self._fix}")
        return content

    def yaml(self, path: Path) -> dict[str, Any]:
        """A YAML mapping, empty when the revision has no such file."""
        text = self.read(path)
        try:
            content = {} if text is None else YAML(typ="safe").load(text)
        except YAMLError:
            content = None
        if not isinstance(content, dict):
            raise UserError(f"{path} of {self.name}: not a YAML mapping. {self._fix}")
        return content

    def table(self, path: Path) -> list[dict[str, str]]:
        """The rows of a CSV file by column, empty when the revision has no such file."""
        lines = csv.DictReader(io.StringIO(self.read(path) or ""))
        return [{column: row[column] or "" for column in lines.fieldnames or ()} for row in lines]

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """The held-out metrics."""
        return self.json(EVALUATION)

    @property
    def has_model(self) -> bool:
        """Whether a pipeline was ever run here: there is a lock or there are metrics."""
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

    @property
    def _fix(self) -> str:
        return "Run `dvc repro`." if self.commit is None else "Repair that branch first, or compare with another."


def working_tree(root: Path) -> Revision:
    """The files as they are now."""
    return Revision(root, "the working tree")


def revision(root: Path, name: str) -> Revision:
    """The commit that a branch, tag or hash names. Raises `UserError` when git knows none."""
    commit = git.commit_of(root, name)
    if commit is None:
        raise NotFoundError(
            f"{name!r}: no such branch, tag or commit here. Fetch it (`git fetch origin`) or name another with --base."
        )
    return Revision(root, name, commit)


def default_base(root: Path) -> str:
    """The branch that work is merged into: `origin/main` when it was fetched, else `main`."""
    return "origin/main" if git.commit_of(root, "refs/remotes/origin/main") is not None else "main"
