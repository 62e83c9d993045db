"""The contents of dvc.lock, and whether files in the workspace are the outputs that it names."""

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from champion.core.errors import NotFoundError, UserError
from champion.core.layout import LOCK, PIPELINE
from champion.core.yaml_text import parse_yaml


def read_stages(root: Path, file: Path = LOCK) -> dict[str, dict[str, Any]]:
    """Every stage of dvc.lock, or of dvc.yaml, by name. Raises `UserError` when there is none."""
    try:
        return parse_stages((root / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{file}: no such file. Run `dvc repro` to make it.") from None
    except ValueError:
        raise _unreadable(file) from None


def parse_stages(text: str) -> dict[str, dict[str, Any]]:
    """Every stage in the text of such a file, by name. Raises `ValueError` when it is not a DVC file."""
    try:
        stages = parse(text)["stages"]
        return {str(name): dict(stage) for name, stage in stages.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError("not a DVC file with `stages`") from None


def parse(text: str) -> Any:
    """`parse_yaml`, once for each text: it takes a tenth of a second, and a command reads the same files many times."""
    return copy.deepcopy(_parse_once(text))


def uncached_outs(root: Path) -> set[str]:
    """The outputs that are in git and not in DVC's cache: metrics and plots."""
    stages = read_stages(root, PIPELINE)
    outs = [out for stage in stages.values() for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    return {path for out in outs if isinstance(out, dict) for path, spec in out.items() if spec.get("cache") is False}


def outs_of(root: Path) -> dict[str, str]:
    """The MD5 of every stage's output in dvc.lock, by path."""
    try:
        return {out["path"]: str(out["md5"]) for stage in read_stages(root).values() for out in stage.get("outs", [])}
    except (KeyError, TypeError):
        raise _unreadable(LOCK) from None


def verify(root: Path, outs: Mapping[str, str], paths: Iterable[Path]) -> None:
    """Raise a `UserError` naming the first path whose hash differs from dvc.lock."""
    for path in paths:
        found = dvc_md5(root / path)
        if found is None:
            raise NotFoundError(f"{path}: no such file. Run `dvc repro` to make it.")
        if found != outs.get(str(path)):
            raise UserError(f"{path}: it differs from {LOCK}. Run `dvc repro`, then run this again.")


def verify_run(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    """The MD5 of every output, if dvc.lock comes from one complete run with the current params and fits these paths.

    Otherwise raises `UserError` with the first reason, such as an interrupted `dvc repro`.
    """
    outs, stages = outs_of(root), read_stages(root)
    try:
        reasons = [*disconnections(stages), *_changed_params(root, stages)]
    except (KeyError, TypeError, AttributeError):
        raise _unreadable(LOCK) from None
    if reasons:
        raise UserError(f"{LOCK}: {reasons[0]}. Run `dvc repro` to its end, then run this again.")
    verify(root, outs, paths)
    return outs


def disconnections(stages: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One sentence per input that differs from the output of its stage, so that not all stages ran in order."""
    makers = {out["path"]: (name, out["md5"]) for name, stage in stages.items() for out in stage.get("outs", [])}
    for name, stage in stages.items():
        for dep in stage.get("deps", []):
            maker, md5 = makers.get(dep["path"], (None, dep["md5"]))
            if dep["md5"] != md5:
                yield f"stage {name}: it read another {dep['path']} than the one that stage {maker} wrote"


def _changed_params(root: Path, stages: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One sentence per param that changed since its stage ran."""
    for name, stage in stages.items():
        for file, used in stage.get("params", {}).items():
            here = _read_params(root, Path(file))
            for key, value in used.items():
                if _at(here, key) != value:
                    yield f"stage {name}: `{key}` of {file} changed since it ran"


@lru_cache(maxsize=8)
def _parse_once(text: str) -> Any:
    return parse_yaml(text)


def _read_params(root: Path, file: Path) -> Any:
    try:
        return parse((root / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{file}: no such file. `git restore {file}` restores it.") from None
    except ValueError as error:
        raise UserError(f"{file}: {error}.") from None


def _at(params: Any, key: str) -> Any:
    """The value at a key in DVC's form, such as `train` or `train.seed`."""
    first, _, rest = key.partition(".")
    if not isinstance(params, dict):
        return None
    return _at(params.get(first), rest) if rest and key not in params else params.get(key)


def dvc_md5(path: Path) -> str | None:
    """DVC's hash of the file or of the folder without sub-folders; None when it does not exist."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        listing = json.dumps([{"md5": _md5(file), "relpath": file.name} for file in files], sort_keys=True)
        return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + ".dir"
    return _md5(path) if path.is_file() else None


def _unreadable(file: Path) -> UserError:
    return UserError(f"{file}: not a DVC file with `stages`. Restore it from git, or run `dvc repro`.")


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
