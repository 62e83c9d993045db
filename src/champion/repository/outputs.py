"""The outputs that a revision's dvc.lock names, as files on this machine."""

import json
from collections.abc import Iterable
from pathlib import Path

from champion.core.errors import NotFoundError, UserError
from champion.repository.lock import dvc_md5
from champion.repository.revision import Revision


def find_output(side: Revision, path: Path, member: str = "") -> Path:
    """The file with this output, or with this member of a folder, of a revision.

    It is in the working tree if the output is the same there, else in DVC's cache. Raises `NotFoundError` otherwise.
    """
    md5 = side.hashes.get(str(path))
    if md5 is None:
        raise NotFoundError(f"dvc.lock of {side.name} names no {path}")
    if dvc_md5(side.root / path) == md5:
        return side.root / path / member
    found = _cached(side.root, md5)
    if found is not None and member:
        entries = {entry["relpath"]: entry["md5"] for entry in json.loads(found.read_bytes())}
        found = _cached(side.root, entries[member]) if member in entries else None
    if found is None:
        raise NotFoundError(
            f"{path} of {side.name} is not in DVC's cache; `champion pull --base {side.name}` gets it with credentials"
        )
    return found


def fetch(side: Revision, paths: Iterable[Path]) -> None:
    """Let DVC's cache have these outputs of a commit. Raises `UserError` when the remote does not have them all."""
    from dvc_data.hashfile.hash_info import HashInfo

    from champion.repository.remote import opened, usable

    missing = [path for path in paths if str(path) in side.hashes and not _is_here(side, path)]
    if not missing:
        return
    remote = usable(side.root)
    with opened(side.root, remote) as repo:
        repo.cloud.pull([HashInfo("md5", side.hashes[str(path)]) for path in missing])
    lost = [str(path) for path in missing if not _is_here(side, path)]
    if lost:
        raise UserError(f"{remote.url} does not have {', '.join(lost)} of {side.name}. `champion push` there sends it.")


def _is_here(side: Revision, path: Path) -> bool:
    try:
        find_output(side, path)
    except NotFoundError:
        return False
    return True


def _cached(root: Path, md5: str) -> Path | None:
    """The object of DVC's cache, if it has the right content."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            file = Path(repo.cache.local.oid_to_path(md5))
    except DvcException:
        return None
    return file if dvc_md5(file) == md5.removesuffix(".dir") else None
