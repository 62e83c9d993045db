"""Point the repository at another table: its file, its params.yaml, and no result of the table before."""

import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from champion.core.errors import UserError
from champion.core.files import replacing
from champion.core.layout import LOCK, METRICS, PARAMS, SOURCE
from champion.onboarding.given import Given
from champion.onboarding.proposal import Proposal, propose
from champion.onboarding.reading import RawTable, read_file, read_table_of_database
from champion.params import check

RESULTS = (LOCK, METRICS)


def examine(root: Path, table: str, given: Given) -> Proposal:
    """What params.yaml should say of a file, or of a table of the database in CHAMPION_SOURCE_URL. Nothing is changed.

    Raises `UserError` when it cannot be read or used.
    """
    return propose(_read(root, table, given), given)


def replace_table(root: Path, table: str, proposal: Proposal, *, force: bool) -> list[str]:
    """Copy the file to data/source/ unless it is there, write params.yaml, and remove results of the table before.

    Returns what was removed. If it fails or is interrupted, everything is as it was. Raises `UserError` when another
    file has the name of the table, without `force`.
    """
    path = Path(table)
    copy = path.is_file() and not _is_inside(root, path)
    target = root / SOURCE / path.name
    if copy and target.exists() and not force and not filecmp.cmp(path, target, shallow=False):
        raise UserError(f"{SOURCE / path.name}: another file has this name. Rename one of them, or give --force.")
    removed = [str(result) for result in RESULTS if (root / result).exists()]
    replaced = [root / result for result in (*RESULTS, PARAMS)] + ([target] if copy else [])
    with _undone_on_failure(root, replaced):
        if copy:
            with replacing(target) as draft:
                shutil.copyfile(path, draft)
        with replacing(root / PARAMS) as draft:
            draft.write_text(proposal.params, encoding="utf-8")
        check(root / PARAMS)
    return removed


def _read(root: Path, table: str, given: Given) -> RawTable:
    path = Path(table)
    if not path.is_file() and not path.suffix and os.environ.get("CHAMPION_SOURCE_URL"):
        return read_table_of_database(table)
    read = read_file(path, given.encoding, given.separator)
    if _is_inside(root, path):
        read.source["path"] = path.resolve().relative_to((root / SOURCE).resolve()).as_posix()
    return read


def _is_inside(root: Path, path: Path) -> bool:
    return path.resolve().is_relative_to((root / SOURCE).resolve())


@contextmanager
def _undone_on_failure(root: Path, paths: list[Path]) -> Iterator[None]:
    """Put the files and folders away. After a failure they are back; else they are gone."""
    with TemporaryDirectory(dir=root, prefix=".init-") as folder:
        kept: list[tuple[Path, Path]] = []
        try:
            for place, path in enumerate(paths):
                if path.exists():
                    kept.append((path, Path(folder) / str(place)))
                    path.rename(kept[-1][1])
            yield
        except BaseException:
            for path in paths:
                if path.is_file():
                    path.unlink()
            for path, away in kept:
                if away.exists():
                    away.rename(path)
            raise
