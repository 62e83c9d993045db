"""Where the file of a source is: in the folder of sources, or in an installed wheel."""

import hashlib
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from champion.core.errors import UserError
from champion.core.layout import SOURCE
from champion.pipeline.ingest.params import FileSource, WheelSource

# The names of files in DVC's cache are hashes of their content.
CACHED = re.compile("/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")


def find_file(source: WheelSource | FileSource, root: Path) -> tuple[Path, str]:
    """The file, and its name for messages. Raises `UserError` when it is missing or another one."""
    if isinstance(source, WheelSource):
        return _wheel_path(source), f"{source.path} of {source.distribution}"
    path = SOURCE / source.path
    if not (root / path).is_file():
        raise UserError(f"{path}: no such file. Put the table there, or correct `ingest.path` in params.yaml.")
    _refuse_link_outside(path, root)
    return root / path, str(path)


def _refuse_link_outside(path: Path, root: Path) -> None:
    """Refuse a link to a file elsewhere. DVC itself may make links to its cache, which can be anywhere."""
    target = (root / path).resolve()
    if not target.is_relative_to((root / SOURCE).resolve()) and not CACHED.search(target.as_posix()):
        raise UserError(
            f"{path}: `ingest.path` in params.yaml leads out of {SOURCE} by a link. Put the file itself there."
        )


def _wheel_path(source: WheelSource) -> Path:
    try:
        path = Path(str(distribution(source.distribution).locate_file(source.path)))
    except PackageNotFoundError:
        raise UserError(f"{source.distribution}: not installed. Run `make repro` to install it.") from None
    if not path.is_file():
        raise UserError(f"{source.distribution}: it has no file {source.path}. Correct `ingest.path` in params.yaml.")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != source.sha256:
        raise UserError(
            f"{source.path} of {source.distribution}: its sha256 is {found}, but `ingest.sha256` in params.yaml has "
            "another one. Reinstall the environment (remove .venv and run `make repro`)."
        )
    return path
