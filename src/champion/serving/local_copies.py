"""Files on S3 as local ones: copied here before they are read, and there after they are written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from champion.core.errors import NotFoundError, UnavailableError, UserError
from champion.registry.stores import S3_OPTIONS

# What s3fs keeps in memory while it sends a file.
SENT_AT_ONCE = {"chunksize": 16 << 20, "max_concurrency": 2}


def is_remote(name: str) -> bool:
    """Whether the name is an address on S3. Raises `UserError` for an address anywhere else."""
    if "://" in name and not name.startswith("s3://"):
        raise UserError(f"{name}: no file on this machine or on S3. Give a path, or an address that begins with s3://.")
    return name.startswith("s3://")


def identify(name: str) -> dict[str, Any]:
    """What tells this content of a file from any other, without reading it. Raises `NotFoundError` without a file."""
    if is_remote(name):
        with _reached(name):
            found = _files().info(name)
        return {"file": name, "size": found["size"], "etag": found.get("ETag")}
    path = Path(name)
    if not path.is_file():
        raise _missing(name)
    return {"file": str(path.absolute()), "size": path.stat().st_size, "changed": path.stat().st_mtime_ns}


def fetch(name: str, path: Path) -> None:
    """Copy the file on S3 to the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _reached(name):
        _files().get_file(name, str(path))


def send(path: Path, name: str) -> None:
    """Copy the file to S3, where nobody sees it before it is complete."""
    with _reached(name):
        _files().put_file(str(path), name, **SENT_AT_ONCE)


def _files() -> Any:
    from fsspec import filesystem

    return filesystem("s3", **S3_OPTIONS)


def _missing(name: str) -> NotFoundError:
    return NotFoundError(f"{name}: no such file. Correct the name.")


@contextmanager
def _reached(name: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except FileNotFoundError:
        raise _missing(name) from None
    except (BotoCoreError, OSError) as error:
        raise UnavailableError(
            f"{name} cannot be reached ({type(error).__name__}): the store is down, or the credentials are wrong (not "
            "shown). Correct that and run this again."
        ) from None
