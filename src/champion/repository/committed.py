"""Whether what a verdict rests on is in git: limits that everybody can read, and a result that HEAD makes again."""

from pathlib import Path
from typing import Any

from champion.core.errors import ConflictError
from champion.core.files import parse_yaml
from champion.core.layout import LOCK, PARAMS
from champion.repository import git
from champion.repository.lock import read_stages, uncached_outs

# The one key that a retraining moves; with the commit it says what was made.
AS_OF = "as_of"


def require_committed(root: Path) -> None:
    """Raise `ConflictError` unless params.yaml and dvc.lock are those of HEAD.

    Where only `as_of` was moved, dvc.lock and what git has of the outputs may have followed, and nothing else.
    """
    moved = _moved_keys(root)
    if moved - {AS_OF}:
        names = ", ".join(f"`{key}`" for key in sorted(moved - {AS_OF}))
        raise ConflictError(f"{PARAMS}: {names} not as committed. Commit it, or `git restore {PARAMS}`.")
    if not moved and read_stages(root) != _committed(root, LOCK).get("stages"):
        raise ConflictError(f"{LOCK}: not as committed. Commit what `dvc repro` made, then run this again.")
    others = _changed_otherwise(root) if moved else []
    if others:
        raise ConflictError(f"{others[0]}: not as committed, and `{AS_OF}` was moved. Commit it, then run this again.")


def is_committed(root: Path) -> bool:
    """Whether HEAD makes this result again: no tracked file differs, but for a moved `as_of` and what follows of it."""
    if git.head_commit(root) is None or git.read_file(root, "HEAD", str(PARAMS)) is None:
        return False
    moved = _moved_keys(root)
    return not _changed_otherwise(root) if moved == {AS_OF} else git.is_clean(root)


def as_of(root: Path) -> Any:
    """The date in params.yaml; None where there is none."""
    return _parse((root / PARAMS).read_bytes()).get(AS_OF)


def _moved_keys(root: Path) -> set[str]:
    """The top-level keys of params.yaml whose value is not the committed one."""
    committed = _committed(root, PARAMS)
    here = _parse((root / PARAMS).read_bytes()) if (root / PARAMS).is_file() else {}
    return {key for key in committed.keys() | here.keys() if committed.get(key) != here.get(key)}


def _changed_otherwise(root: Path) -> list[str]:
    follows = {str(PARAMS), str(LOCK), *uncached_outs(root)}
    return [path for path in git.changed_files(root, "HEAD") if path not in follows]


def _committed(root: Path, path: Path) -> dict[str, Any]:
    # Not what `git status` says: a file can be marked as unchanged there.
    content = git.read_file(root, "HEAD", str(path))
    if content is None:
        raise ConflictError(f"{path}: not committed, so nobody else can see what is judged. Commit it.")
    return _parse(content)


def _parse(content: bytes) -> dict[str, Any]:
    try:
        document = parse_yaml(content.decode())
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {}
