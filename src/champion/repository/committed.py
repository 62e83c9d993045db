"""Whether git has what a verdict depends on: limits that everybody can read, and a result that HEAD reproduces."""

from pathlib import Path
from typing import Any

from champion.core.errors import ConflictError
from champion.core.layout import LOCK, PARAMS
from champion.repository import git
from champion.repository.lock import parse, read_stages, uncached_outs

# The only key that a retraining changes. Commit and date together identify a result.
AS_OF = "as_of"


def require_committed(root: Path) -> None:
    """Raise `ConflictError` unless params.yaml and dvc.lock are those of HEAD.

    If only `as_of` changed in params.yaml, dvc.lock and the outputs in git may differ too, but nothing else.
    """
    moved = _moved_keys(root)
    if moved - {AS_OF}:
        names = ", ".join(f"`{key}`" for key in sorted(moved - {AS_OF}))
        raise ConflictError(f"{PARAMS}: uncommitted change of {names}. Commit it, or `git restore {PARAMS}`.")
    if not moved and not _is_lock_committed(root):
        raise ConflictError(f"{LOCK}: uncommitted change. Commit the outputs of `dvc repro`, then run this again.")
    others = _changed_otherwise(root) if moved else []
    if others:
        raise ConflictError(f"{others[0]}: uncommitted change, besides `{AS_OF}`. Commit it, then run this again.")


def is_committed(root: Path) -> bool:
    """Whether HEAD reproduces this result: no tracked file differs, except for `as_of` and the outputs."""
    if any(git.read_file(root, "HEAD", str(path)) is None for path in (PARAMS, LOCK)):
        return False
    moved = _moved_keys(root)
    if moved == {AS_OF}:
        return not _changed_otherwise(root)
    return not moved and _is_lock_committed(root) and git.is_clean(root)


def as_of(root: Path) -> Any:
    """The date in params.yaml; None without one."""
    return _parse((root / PARAMS).read_bytes()).get(AS_OF)


def _moved_keys(root: Path) -> set[str]:
    """The top-level keys of params.yaml whose values differ from the commit."""
    committed = _committed(root, PARAMS)
    here = _parse((root / PARAMS).read_bytes()) if (root / PARAMS).is_file() else {}
    return {key for key in committed.keys() | here.keys() if committed.get(key) != here.get(key)}


def _is_lock_committed(root: Path) -> bool:
    return read_stages(root) == _committed(root, LOCK).get("stages")


def _changed_otherwise(root: Path) -> list[str]:
    follows = {str(PARAMS), str(LOCK), *uncached_outs(root)}
    return [path for path in git.changed_files(root, "HEAD") if path not in follows]


def _committed(root: Path, path: Path) -> dict[str, Any]:
    # `git status` is not enough, because a file can be marked as unchanged there.
    content = git.read_file(root, "HEAD", str(path))
    if content is None:
        raise ConflictError(f"{path}: not committed, so other people cannot see what is judged. Commit it.")
    return _parse(content)


def _parse(content: bytes) -> dict[str, Any]:
    try:
        document = parse(content.decode())
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {}
