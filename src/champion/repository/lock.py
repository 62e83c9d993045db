"""What dvc.lock says a result was made from, and whether the files at hand are that result."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from champion.core.errors import NotFoundError, UserError
from champion.core.files import parse_yaml
from champion.core.layout import LOCK, PIPELINE


def read_stages(root: Path, file: Path = LOCK) -> dict[str, dict[str, Any]]:
    """Every stage of dvc.lock, or of dvc.yaml, by name. Raises `UserError` when there is none."""
    try:
        return parse_stages((root / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{file}: no such file. Run `dvc repro`, which makes it.") from None
    except ValueError:
        raise _unreadable(file) from None


def parse_stages(text: str) -> dict[str, dict[str, Any]]:
    """The same of a file's text. Raises `ValueError` when it is not one of DVC's."""
    try:
        stages = parse_yaml(text)["stages"]
        return {str(name): dict(stage) for name, stage in stages.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError("not a YAML file of DVC with `stages`") from None


def uncached_outs(root: Path) -> set[str]:
    """The outputs that git has and DVC's cache does not: metrics and plots."""
    stages = read_stages(root, PIPELINE)
    outs = [out for stage in stages.values() for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    return {path for out in outs if isinstance(out, dict) for path, spec in out.items() if spec.get("cache") is False}


def outs_of(root: Path) -> dict[str, str]:
    """The MD5 that dvc.lock has of every stage's output."""
    try:
        return {out["path"]: str(out["md5"]) for stage in read_stages(root).values() for out in stage.get("outs", [])}
    except (KeyError, TypeError):
        raise _unreadable(LOCK) from None


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


def _unreadable(file: Path) -> UserError:
    return UserError(f"{file}: not a YAML file of DVC with `stages`. Restore it from git, or run `dvc repro`.")


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
