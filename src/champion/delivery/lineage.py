"""What dvc.lock says a result was made from, and whether the files at hand are that result."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from champion.errors import UserError

LOCK = Path("dvc.lock")


def read_stages(root: Path) -> dict[str, dict[str, Any]]:
    """Every stage of dvc.lock by name. Raises `UserError` when there is none."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        stages = YAML(typ="safe").load((root / LOCK).read_text(encoding="utf-8"))["stages"]
        return {str(name): dict(stage) for name, stage in stages.items()}
    except FileNotFoundError:
        raise UserError(f"{LOCK}: no such file. Run `dvc repro`, which makes it.") from None
    except (KeyError, TypeError, ValueError, AttributeError, YAMLError):
        raise _no_lock() from None


def outs_of(root: Path) -> dict[str, str]:
    """The MD5 that dvc.lock has of every stage's output."""
    try:
        return {out["path"]: str(out["md5"]) for stage in read_stages(root).values() for out in stage.get("outs", [])}
    except (KeyError, TypeError):
        raise _no_lock() from None


def verify(root: Path, outs: Mapping[str, str], paths: Iterable[Path]) -> None:
    """Raise a `UserError` naming the first path that is not the output dvc.lock has."""
    for path in paths:
        if dvc_md5(root / path) != outs.get(str(path)):
            raise UserError(f"{path}: not what {LOCK} says the pipeline made. Run `dvc repro`, then this again.")


def dvc_md5(path: Path) -> str | None:
    """The hash by which DVC knows the file or flat folder; None when there is none."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        listing = json.dumps([{"md5": _md5(file), "relpath": file.name} for file in files], sort_keys=True)
        return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + ".dir"
    return _md5(path) if path.is_file() else None


def _no_lock() -> UserError:
    return UserError(f"{LOCK}: not a lock file of DVC. Run `dvc repro`, which makes it again.")


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
