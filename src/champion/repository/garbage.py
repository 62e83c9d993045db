"""The objects in DVC's cache and remote that nothing names any more."""

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.fs import LocalFileSystem
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.rwlock import rwlock
from dvc_data.hashfile.db import get_index

from champion.core.errors import ConflictError, NotFoundError, UserError, warn
from champion.repository import git
from champion.repository.objects import FOLDER
from champion.repository.remote import Remote, opened, usable
from champion.repository.worktree import find_worktrees


@dataclass(frozen=True)
class Kept:
    """What stays besides what git names: commits, and outputs as MD5 by path; both by the name of what needs them."""

    commits: Mapping[str, str]
    outs: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Garbage:
    """The objects of a store that can go: bytes by path. `count` is how many objects the store has."""

    store: str
    objects: Mapping[str, int]
    count: int
    _odb: Any

    def remove(self, chosen: Collection[str]) -> None:
        """Remove those of the objects with a chosen path. If it is killed, some are gone, and it can be run again."""
        if not _is_local(self._odb):
            # DVC notes here what the remote has, and a push would trust it.
            get_index(self._odb).clear()
        # Lists of files go first, so that no list names a file that is gone.
        paths = sorted(self.objects.keys() & set(chosen), key=lambda path: (not path.endswith(FOLDER), path))
        if paths:
            self._odb.fs.remove(paths)


@contextmanager
def garbage(root: Path, kept: Kept, *, cloud: bool, hours: float) -> Iterator[list[Garbage]]:
    """What can go of the cache and, with `cloud`, of the remote. During the block, DVC runs no other command here.

    An object stays if it is younger than `hours`, or if it is named by `kept`, by a reference of git (such as a branch,
    a tag or an experiment), or by dvc.lock in a working tree of this repository. Raises `UserError` when it is unknown
    what is needed: a commit is not in this clone, a commit or the remote cannot be read, or DVC is at work.
    """
    trees = _working_trees(root)
    remote = usable(root) if cloud else None
    commits = _commits(root, kept, cloud=cloud)
    with opened(root, remote) as repo, ExitStack() as held:
        odbs = {"the cache": _own_cache(repo, trees)}
        if remote is not None:
            odbs[remote.url] = _removable(repo, remote)
        named = _Named(list(odbs.values()))
        for tree in trees:
            there = held.enter_context(Repo(str(tree)))
            held.enter_context(_locked(there))
            for path, md5 in _outs(there, str(tree)):
                named.add(str(tree), path, md5, here=(tree / path).exists())
        # Without revisions, DVC would look at the working tree.
        for commit in repo.brancher(revs=list(commits), workspace=False, sha_only=True) if commits else ():
            for path, md5 in _outs(repo, commits[commit]):
                named.add(commits[commit], path, md5)
        for name, outs in kept.outs.items():
            for path, md5 in outs.items():
                named.add(name, path, md5)
        if cloud and named.unlisted:
            warn(f"files in {', '.join(named.unlisted)} may go: no list of them was found")
        yield [_unnamed(store, odb, named, time.time() - hours * 3600) for store, odb in odbs.items()]


class _Named:
    """The hashes of the objects that are named, with the files of each folder among them."""

    def __init__(self, odbs: Sequence[Any]) -> None:
        self.hashes: set[str] = set()
        # Folders whose list of files is lost, so that nothing can restore them from these stores.
        self.unlisted: list[str] = []
        self._odbs = odbs

    def add(self, name: str, path: str, md5: str, *, here: bool = False) -> None:
        """Add an output; `here` says that its files are in a working tree, perhaps as links to the cache."""
        known = md5 in self.hashes
        self.hashes.add(md5)
        if not md5.endswith(FOLDER) or (known and not here):
            return
        files = next((files for odb in self._odbs if (files := _files(odb, md5)) is not None), None)
        if files is not None:
            self.hashes |= files
        elif here:
            raise NotFoundError(
                f"{path} in {name}: the list of its files is not in the cache, so they are unknown. Run `dvc repro` "
                "there, then run this again."
            )
        else:
            self.unlisted.append(f"{path} of {name}")


def _files(odb: Any, folder: str) -> set[str] | None:
    """The hashes of a folder's files; None if the store does not have their list, or a damaged one."""
    try:
        with odb.fs.open(odb.oid_to_path(folder), "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return None
    # DVC names objects by their MD5, which finds accidents, but not attacks.
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != folder.removesuffix(FOLDER):
        return None
    return {str(entry["md5"]) for entry in json.loads(content)}


def _unnamed(store: str, odb: Any, named: _Named, before: float) -> Garbage:
    sizes: dict[str, int] = {}
    count = 0
    for path, size, changed in _listed(odb):
        try:
            md5 = odb.path_to_oid(path)
        except ValueError:
            # It is no object of DVC.
            continue
        count += 1
        if md5 not in named.hashes and changed <= before:
            sizes[path] = size
    return Garbage(store, sizes, count, odb)


def _listed(odb: Any) -> Iterator[tuple[str, int, float]]:
    """Path, bytes and the time of the last change of each file in the store."""
    if _is_local(odb):
        for path in odb.fs.find(odb.path):
            about = Path(path).stat()
            # A moved file keeps the time of its content.
            yield path, about.st_size, max(about.st_mtime, about.st_ctime)
    else:
        for path, found in odb.fs.fs.find(odb.path, detail=True).items():
            yield path, found["size"], found["LastModified"].timestamp()


def _is_local(odb: Any) -> bool:
    return isinstance(odb.fs, LocalFileSystem)


def _own_cache(repo: Repo, trees: Sequence[Path]) -> Any:
    cache = repo.cache.local
    if not any(Path(cache.path).resolve().is_relative_to(tree) for tree in trees):
        raise UserError(
            f"the cache {cache.path} is outside of this repository, so other repositories may need it too. Use `dvc gc "
            "--projects`, which asks several repositories, but no ledger."
        )
    return cache


def _removable(repo: Repo, remote: Remote) -> Any:
    odb = repo.cloud.get_remote_odb(command="gc")
    if not (remote.is_on_s3 or _is_local(odb)):
        raise UserError(f"the remote {remote.url} is neither on S3 nor a folder. Use `dvc gc --cloud`.")
    return odb


def _outs(repo: Repo, name: str) -> list[tuple[str, str]]:
    """Path and MD5 of the outputs that DVC stores, in the commit or working tree at which DVC looks."""
    try:
        outs = [out for out in repo.index.outs if out.use_cache and out.hash_info]
        return [(repo.fs.relpath(out.fs_path, repo.root_dir), str(out.hash_info.value)) for out in outs]
    except DvcException as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"DVC cannot read {name}, so what it needs is unknown: {reason}. Correct it, or remove it from git."
        ) from None


@contextmanager
def _locked(repo: Repo) -> Iterator[None]:
    """Keep other commands of DVC out. While a stage runs, `dvc repro` holds only the second lock."""
    hardlink = repo.config["core"].get("hardlink_lock", False)
    with ExitStack() as held:
        try:
            held.enter_context(repo.lock)
            held.enter_context(rwlock(repo.tmp_dir, repo.fs, "champion gc", [], [repo.root_dir], hardlink))
        except LockError:
            raise ConflictError(
                f"DVC is at work in {repo.root_dir}, perhaps `dvc repro` or another `champion gc`. Wait for its end."
            ) from None
        yield


def _working_trees(root: Path) -> list[Path]:
    """The working trees of this repository that use DVC, such as the one of a retraining."""
    return [tree for tree in find_worktrees(root) if (tree / ".dvc").is_dir()]


def _commits(root: Path, kept: Kept, *, cloud: bool) -> dict[str, str]:
    """What names each commit, by its hash."""
    listed = git.answer(root, "for-each-ref", "--format=%(objectname) %(refname:short)").decode().splitlines()
    named = {"HEAD": "HEAD"} | {name: digest for digest, name in (line.split(" ", 1) for line in listed)}
    found = {commit: name for name, digest in named.items() if (commit := git.commit_of(root, digest)) is not None}
    for name, digest in kept.commits.items():
        commit = git.commit_of(root, digest)
        if commit is None:
            raise ConflictError(
                f"{name} comes from the commit {digest}, which this clone does not have, so what it needs is unknown. "
                "Fetch the branch or tag that has it; `git fetch --unshallow` completes a shallow clone."
            )
        found[commit] = name
    for remote in git.answer(root, "remote").decode().split() if cloud else ():
        for line in git.answer(root, "ls-remote", "--heads", "--tags", remote).decode().splitlines():
            digest, name = line.split("\t")
            commit = git.commit_of(root, digest)
            if commit is None:
                raise ConflictError(
                    f"{remote} has {name} at {digest}, which this clone does not have, so what it needs is unknown. "
                    f"Run `git fetch --tags {remote}`, then run this again."
                )
            found[commit] = f"{remote}/{name}"
    return found
