"""A store of small files at any fsspec URL. A reader always finds a complete file, either the old or the new one."""

import contextlib
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from champion.core.errors import UnavailableError, UserError
from champion.core.masking import MASK, masked

PART = ".part"
ABANDONED_AFTER = 3600.0
# Listings are never cached, and a dead server is noticed within a minute.
S3_OPTIONS = {
    "use_listings_cache": False,
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 15, "retries": {"max_attempts": 1}},
}


class Store:
    """Files by key, such as `models/abc/model.skops`, under a local folder or an object store's prefix."""

    def __init__(self, url: str) -> None:
        self._address = url
        # For messages, which show nothing of a remote address that could be a password.
        self.url = masked(url) if self._is_local else re.sub("://.*@", f"://{MASK}@", masked(url), flags=re.DOTALL)

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def read(self, key: str) -> bytes | None:
        """The file's bytes; None when there is no such file."""
        with self._reached():
            try:
                content: bytes = self._files.cat_file(self._path(key))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None
            return content

    def write(self, key: str, content: bytes) -> None:
        """Write the file in one step: it is durable when this returns, and unchanged when this raises."""
        with self._reached():
            if self._is_local:
                _replace(Path(self._path(key)), content)
            else:
                # The file becomes visible only when it is complete: after one PUT, or the last request of several.
                self._files.pipe_file(self._path(key), content)

    def remove(self, key: str) -> None:
        """Remove the file if it exists."""
        with self._reached(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(key))

    def holds(self, key: str, sha256: str) -> bool:
        """Whether the file exists and has this hash."""
        content = self.read(key)
        return content is not None and hashlib.sha256(content).hexdigest() == sha256

    def keys(self) -> list[str]:
        """The keys of all files, sorted, without files that are being written."""
        return [key for key, _ in self._listing() if not key.endswith(PART)]

    def clear_abandoned(self) -> None:
        """Remove unfinished files of killed writers; keep young ones, as a writer may still be active."""
        for key, changed in self._listing():
            if key.endswith(PART) and time.time() - changed > ABANDONED_AFTER:
                with self._reached(), contextlib.suppress(FileNotFoundError):
                    self._files.rm_file(self._path(key))

    @cached_property
    def _files(self) -> Any:
        from fsspec.core import url_to_fs

        try:
            return url_to_fs(self._address, **(S3_OPTIONS if self._address.startswith("s3://") else {}))[0]
        except (ValueError, ImportError):
            raise UserError(f"the store {self.url} cannot be opened: its URL is not supported. Correct it.") from None

    @property
    def _is_local(self) -> bool:
        return "://" not in self._address or self._address.startswith("file://")

    def _path(self, key: str) -> str:
        return str(self._files._strip_protocol(f"{self._address.rstrip('/')}/{key}"))

    def _listing(self) -> list[tuple[str, float]]:
        base = self._path("")
        with self._reached():
            try:
                found: dict[str, Any] = self._files.find(base, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(
            (str(PurePosixPath(path).relative_to(base)), info.get("mtime", 0)) for path, info in found.items()
        )

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Turn errors of a remote store into a sentence. Local disk errors stay OSErrors, as these name the file."""
        if self._is_local:
            yield
            return
        from botocore.exceptions import BotoCoreError

        try:
            yield
        except (BotoCoreError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise UnavailableError(
                f"the store {self.url} cannot be used ({type(error).__name__}): it is down, or the credentials are "
                "wrong (not shown). Correct that and run this again."
            ) from None


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PART}")
    try:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
