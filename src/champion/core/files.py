"""Files that a stage writes: each is written completely or not at all, and equal content gives equal bytes."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.core.errors import NotFoundError, UserError, refuse_full_memory
from champion.core.values import rounded

if TYPE_CHECKING:
    import polars as pl

ROW_GROUP_ROWS = 131_072


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft path for a file or folder. The draft replaces `path` only if the block ends without an exception.

    Raises `UserError` for a device or a pipe, such as /dev/null, which a file of root could replace, and when a file
    would replace a folder.
    """
    if _is_special(path):
        raise UserError(f"{path}: a device or a pipe, no file. Give the path of a file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft, old = path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.old")
    _remove(draft)
    try:
        yield draft
        if path.is_dir():
            if draft.is_file():
                raise UserError(f"{path}: a folder, no file. Give the path of a file.")
            _remove(old)
            path.rename(old)
        try:
            draft.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    except OSError as error:
        # The error of a full disk names no file, and a user does not know the draft's name.
        if error.filename is None or str(error.filename).startswith(str(draft)):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    finally:
        _remove(draft)
        _remove(old)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON with sorted keys and six decimals, because processors differ in the last digits of a float."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(rounded(content), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object written by a stage. Raises `UserError` when the file is missing or not a JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path) from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object. Run `dvc repro` to make it again.")
    return content


def write_parquet(path: Path, table: "pl.DataFrame") -> None:
    """Write Parquet whose bytes depend only on the rows, not on the number of threads."""
    buffer = io.BytesIO()
    table.rechunk().write_parquet(buffer, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    with replacing(path) as draft:
        draft.write_bytes(buffer.getbuffer())


def read_parquet(path: Path) -> "pl.DataFrame":
    """A table written by a stage. Raises `UserError` when the file is missing or not readable."""
    import polars as pl

    try:
        return pl.read_parquet(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        refuse_full_memory(error)
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: not readable Parquet ({reason}). Run `dvc repro --force` to make it again.") from None


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes. Raises `UserError` when the file is missing."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise _missing(path) from None


def checked_bytes(path: Path, sha256: str | None) -> bytes:
    """The file's bytes, which must have this hash if one is given.

    Raises `UserError` when the file is missing or has another hash.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _missing(path) from None
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise UserError(
            f"{path}: its sha256 is {found}, expected {sha256}. Restore the file (`dvc checkout` or `dvc repro`)."
        )
    return content


def _is_special(path: Path) -> bool:
    """Whether the path is a device or a pipe, or one of the system's links to open files, such as /dev/stdout."""
    if path.is_symlink() and path.readlink().is_relative_to("/proc"):
        return True
    in_devices = Path(os.path.abspath(path)).parent in (Path("/dev"), Path("/dev/fd"))  # noqa: PTH100 - no link
    return in_devices or (path.exists() and not path.is_file() and not path.is_dir())


def _missing(path: Path) -> NotFoundError:
    return NotFoundError(f"{path}: no such file. Run `dvc repro` to make it.")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
