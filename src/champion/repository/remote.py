"""The DVC remote, compared with dvc.lock. A pull names every wrong file; a push repairs it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientError as AioClientError
from botocore.exceptions import BotoCoreError
from botocore.exceptions import ClientError as BotoClientError
from dvc.config import Config, ConfigError
from dvc.exceptions import DvcException
from dvc.repo import Repo

from champion.core.errors import UserError, warn
from champion.core.layout import LOCK, METRICS
from champion.repository import git
from champion.repository.process import dvc, refuse_absurd_params, run
from champion.repository.s3_check import why_unusable

# Errors when the server stops answering, or starts to refuse, during the read of an S3 object.
BROKEN_OFF = (BotoCoreError, BotoClientError, AioClientError, ConnectionError, PermissionError, TimeoutError)
# The suffix of objects in which DVC lists the files of a folder.
FOLDER = ".dir"
# An ETag with a dash comes from an upload in parts; it is not the MD5 of the content.
PARTS = "-"
# Settings of a DVC remote, and the names that botocore's clients have for them.
CLIENT_OPTIONS = {
    "region": "region_name",
    "endpointurl": "endpoint_url",
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
    "ssl_verify": "verify",
}


@dataclass(frozen=True)
class Remote:
    """The remote that plain `dvc push` and `dvc pull` use, with its settings."""

    name: str
    url: str
    settings: dict[str, Any]

    @property
    def is_on_s3(self) -> bool:
        """Whether the remote is a bucket on any S3 service."""
        return urlsplit(self.url).scheme == "s3"

    @property
    def bucket(self) -> str:
        """The bucket of an S3 remote."""
        return urlsplit(self.url).netloc

    def why_unusable(self) -> str | None:
        """Why the objects cannot be listed, in one sentence; None if they can be, or if the remote is not on S3."""
        if not self.is_on_s3:
            return None
        options = {ours: self.settings[theirs] for theirs, ours in CLIENT_OPTIONS.items() if theirs in self.settings}
        return why_unusable(
            self.bucket, urlsplit(self.url).path.lstrip("/"), options, profile=self.settings.get("profile")
        )


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


def default_remote(root: Path) -> Remote:
    """The remote of .dvc/config. Raises `UserError` when there is none."""
    try:
        config = Config(Repo.find_dvc_dir(str(root)))
    except (DvcException, ConfigError) as error:
        raise UserError(f".dvc/config or .dvc/config.local: {error}. Correct it.") from None
    name = config["core"].get("remote")
    settings = dict(config["remote"].get(name, {}))
    if not settings:
        raise UserError(".dvc/config defines no default remote. Add one: `dvc remote add --default NAME URL`.")
    return Remote(name, str(settings.pop("url")), settings)


def usable(root: Path) -> Remote:
    """The remote of .dvc/config. Raises `UserError` when there is none, or when its objects cannot be listed."""
    remote = default_remote(root)
    reason = remote.why_unusable()
    if reason:
        raise UserError(f"the remote {remote.url} cannot be used: {reason}")
    return remote


@contextmanager
def opened(root: Path, remote: Remote | None) -> Iterator[Repo]:
    """The repository as DVC sees it. What the remote or DVC raises in the block becomes a `UserError`."""
    refuse_absurd_params(root)
    try:
        with Repo(str(root)) as repo:
            yield repo
    except BROKEN_OFF as error:
        if remote is None:
            raise
        reason = remote.why_unusable() or f"the connection was lost ({type(error).__name__}). Run this again."
        raise UserError(f"the remote {remote.url} cannot be used: {reason}") from None
    except DvcException as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"DVC cannot read this repository: {reason}. Correct dvc.yaml, dvc.lock, params.yaml or .dvc/config; "
            "`champion resolve-lock` resolves a merge conflict in dvc.lock."
        ) from None


def pull(root: Path, *, allow_missing: bool) -> None:
    """`dvc pull` of every output that the remote has completely.

    Then name each missing or wrong file, in a `UserError`, or on stderr with `allow_missing`. A file in the workspace
    always has exactly the content that dvc.lock names. For a remote that is not on S3, only `dvc pull` runs.
    """
    remote = usable(root)
    if not remote.is_on_s3:
        options = ["--allow-missing"] if allow_missing else []
        if run([dvc(), "pull", *options], root, quiet=False).returncode:
            raise UserError(f"`dvc pull` from {remote.url} failed; its output above says why.")
        return
    with _objects(root, remote) as objects:
        if objects.unnamed and not allow_missing:
            raise UserError(f"dvc.lock does not name {', '.join(objects.unnamed)} yet. Run `dvc repro`.")
        defects = [defect for out in objects.outs if not objects.is_cached(out) for defect in objects.defects(out)]
        defective = {defect.item.out for defect in defects}
        whole = [out for out in objects.outs if out not in defective]
        # DVC takes a third of a second for each path that it is given.
        paths = whole if defects or objects.unnamed else []
    if whole and run([dvc(), "pull", *paths], root, quiet=False).returncode:
        with _objects(root, usable(root)) as objects:
            missed = [out for out in whole if not objects.is_cached(out)]
            defects += [defect for out in missed for defect in objects.defects(out, verify=True)]
        if not defects:
            raise UserError(f"`dvc pull` from {remote.url} failed; its output above says why.")
    if not defects:
        return
    told = f"{remote.url} does not have all that dvc.lock names:\n  " + "\n  ".join(map(str, defects))
    told += "\nEverything else was pulled. `dvc repro` makes these again; then `champion push` repairs the remote."
    if not allow_missing:
        raise UserError(told)
    warn(told)


def push(root: Path, *, verify: bool) -> list[str]:
    """`dvc push`, and repair of objects that `dvc push` skips: wrong content, and lost files of a folder sent before.

    With `verify`, the content is read if the ETag does not prove it. Returns the paths of the repaired objects. Raises
    `UserError` when dvc.lock has uncommitted changes, or when an output is not in the cache.
    """
    if git.uncommitted_files(root, LOCK, METRICS):
        raise UserError(
            "dvc.lock or metrics/ has uncommitted changes, so no commit would name the pushed objects. Commit first."
        )
    remote = usable(root)
    if not remote.is_on_s3:
        if run([dvc(), "push"], root, quiet=False).returncode:
            raise UserError(f"`dvc push` to {remote.url} failed; its output above says why.")
        return []
    with _objects(root, remote) as objects:
        lost = [out for out in objects.outs if not objects.is_cached(out)]
        if lost:
            raise UserError(
                f"not in this machine's cache: {', '.join(lost)}. Run `dvc repro` or `champion pull` first."
            )
        repaired = [path for out in objects.outs for path in objects.repair(out, verify=verify)]
    if run([dvc(), "push"], root, quiet=False).returncode:
        usable(root)
        raise UserError(f"`dvc push` to {remote.url} failed; its output above says why. Run it again to continue.")
    with _objects(root, remote) as objects:
        defects = [defect for out in objects.outs for defect in objects.defects(out)]
    if defects:
        raise UserError(f"{remote.url} lacks objects that were sent:\n  " + "\n  ".join(map(str, defects)))
    return repaired


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


@contextmanager
def _objects(root: Path, remote: Remote) -> Iterator[Objects]:
    with opened(root, remote) as repo:
        yield Objects(repo)


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
