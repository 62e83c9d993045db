"""Files that a stage writes: written whole or not at all, and the same bytes for the same content."""

import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.core.errors import NotFoundError, UserError
from champion.core.values import rounded

if TYPE_CHECKING:
    import polars as pl

ROW_GROUP_ROWS = 131_072


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write a file or folder to, which takes the place of `path` only when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft, old = path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.old")
    _remove(draft)
    try:
        yield draft
        if path.is_dir():
            _remove(old)
            path.rename(old)
        try:
            draft.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    except OSError as error:
        # A full disk names no file, and the draft's name tells a user nothing.
        if error.filename is None or str(error.filename).startswith(str(draft)):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    finally:
        _remove(draft)
        _remove(old)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON with sorted keys and floats of six decimals, which hides the last-digit differences between processors."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(rounded(content), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object written by a stage. Raises `UserError` when it is not there or not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file. Run `dvc repro`, which makes it.") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object. Run `dvc repro`, which makes it again.")
    return content


def parse_yaml(text: str) -> Any:
    """What a YAML text says to DVC, and so to us. Raises `ValueError` when it is not valid."""
    # DVC reads with ruamel.yaml too. To PyYAML `1e-05` is text, `012` is 10, `on` is true, and a key may stand twice.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(text)
    except YAMLError as error:
        raise ValueError(f"not valid YAML ({' '.join(str(error).split())})") from None


def write_parquet(path: Path, table: "pl.DataFrame") -> None:
    """Parquet whose bytes depend on the rows alone, not on the number of threads."""
    buffer = io.BytesIO()
    table.rechunk().write_parquet(buffer, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    with replacing(path) as draft:
        draft.write_bytes(buffer.getbuffer())


def read_parquet(path: Path) -> "pl.DataFrame":
    """A table written by a stage. Raises `UserError` when it is not there or not readable."""
    import polars as pl

    try:
        return pl.read_parquet(path)
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file. Run `dvc repro`, which makes it.") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: not readable Parquet ({reason}). Run `dvc repro --force` to make it again.") from None


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes. Raises `UserError` when it is not there."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file. Run `dvc repro`, which makes it.") from None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
