"""The objects that dvc.lock names, in this machine's cache and in a remote on S3, and which of them are wrong there."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.repo import Repo

from champion.core.errors import UserError

# The suffix of objects in which DVC lists the files of a folder.
FOLDER = ".dir"
# An ETag with a dash comes from an upload in parts; it is not the MD5 of the content.
PARTS = "-"


@dataclass(frozen=True)
class Item:
    """An object that dvc.lock names: a file, or a folder's list of files."""

    out: str
    path: str
    oid: str


@dataclass(frozen=True)
class Defect:
    """An item that is missing or wrong in the remote."""

    item: Item
    reason: str
    missing: bool

    def __str__(self) -> str:
        return f"{self.item.path}: {self.reason}"


class Objects:
    """The objects that dvc.lock names, in the cache of this machine and in the remote."""

    def __init__(self, repo: Repo) -> None:
        outs = [out for out in repo.index.outs if out.use_cache and out.is_in_repo]
        if not outs:
            raise UserError("dvc.yaml: it defines no cached output. Restore it: `git checkout -- dvc.yaml`.")
        self.outs = {out.def_path: str(out.hash_info.value) for out in outs if out.hash_info}
        self.unnamed = [out.def_path for out in outs if not out.hash_info]
        self._cache = repo.cache.local
        self._remote = repo.cloud.get_remote_odb()

    def is_cached(self, out: str) -> bool:
        """Whether the cache has the out, including all files of a folder."""
        top = self._top(out)
        return self._cache.exists(top.oid) and all(self._cache.exists(item.oid) for item in self._cached_members(top))

    def defects(self, out: str, *, verify: bool = False) -> Iterator[Defect]:
        """The items of the out that are missing or wrong in the remote. Without its list, a folder is one item."""
        top = self._top(out)
        defect = self._defect(top, verify=verify)
        if defect is not None:
            yield defect
        elif _is_folder(top.oid):
            for item in _members(top, self._remote.fs.fs.cat_file(self._remote.oid_to_path(top.oid))):
                defect = self._defect(item, verify=verify)
                if defect is not None:
                    yield defect

    def repair(self, out: str, *, verify: bool) -> Iterator[str]:
        """Overwrite the wrong items that `dvc push` would skip; outs that were never sent are left to `dvc push`."""
        top = self._top(out)
        defect = self._defect(top, verify=verify)
        if defect is not None and defect.missing:
            return
        for item in self._cached_members(top):
            if self._defect(item, verify=verify) is not None:
                yield self._overwrite(item)
        if defect is not None:
            yield self._overwrite(top)

    def _overwrite(self, item: Item) -> str:
        source = self._cache.oid_to_path(item.oid)
        with Path(source).open("rb") as file:
            if _md5(file) != _content_md5(item.oid):
                raise UserError(f"{item.path}: the copy in this machine's cache is corrupt as well. {_drop(source)}")
        self._remote.fs.fs.put_file(source, self._remote.oid_to_path(item.oid))
        return item.path

    def _top(self, out: str) -> Item:
        oid = self.outs[out]
        return Item(out, f"{out} (its list of files)" if _is_folder(oid) else out, oid)

    def _cached_members(self, top: Item) -> list[Item]:
        if not _is_folder(top.oid):
            return []
        source = self._cache.oid_to_path(top.oid)
        try:
            return _members(top, Path(source).read_bytes())
        except (ValueError, LookupError, TypeError):
            raise UserError(f"{top.path}: the copy in this machine's cache is corrupt. {_drop(source)}") from None

    def _defect(self, item: Item, *, verify: bool) -> Defect | None:
        path = self._remote.oid_to_path(item.oid)
        try:
            info = self._remote.fs.fs.info(path)
        except FileNotFoundError:
            return Defect(item, f"{path} is missing", missing=True)
        expected = _content_md5(item.oid)
        etag = str(info.get("ETag", PARTS)).strip('"')
        if etag == expected or (PARTS in etag and not (verify or _is_folder(item.oid))):
            return None
        with self._remote.fs.fs.open(path, "rb") as file:
            found = _md5(file)
        return None if found == expected else Defect(item, f"{path} is corrupt", missing=False)


def _members(top: Item, listing: bytes) -> list[Item]:
    return [Item(top.out, f"{top.out}/{entry['relpath']}", entry["md5"]) for entry in json.loads(listing)]


def _is_folder(oid: str) -> bool:
    return oid.endswith(FOLDER)


def _content_md5(oid: str) -> str:
    return oid.removesuffix(FOLDER)


def _md5(file: Any) -> str:
    # DVC names objects by their MD5, which finds accidents, but not attacks.
    return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _drop(source: str) -> str:
    return f"Delete {source}, then run `dvc repro`."
