"""A user's own functions and classes, in the folder own/ or in an installed package."""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from champion.core.errors import UserError
from champion.core.layout import OWN
from champion.core.strict_yaml import did_you_mean


def load_own(reference: str, key: str, root: Path = Path()) -> Callable[..., Any]:
    """The function or class that `module:name` or `own/file.py:name` names; own/ is under `root`.

    Raises `UserError`, with the `key` of params.yaml, when there is none, or when its module cannot be imported.
    """
    place, _, name = reference.rpartition(":")
    module = place.removesuffix(".py").replace("/", ".")
    if module.partition(".")[0] == OWN.name:
        file = Path(module.replace(".", "/")).with_suffix(".py")
        if not (root / file).is_file():
            raise UserError(f"params.yaml: `{key}`: there is no file {file}. Write it, or correct the name.")
    found = _import(module, reference, key, root.resolve())
    if not callable(getattr(found, name, None)):
        known = [one for one in vars(found) if not one.startswith("_") and callable(getattr(found, one))]
        raise UserError(f"params.yaml: `{key}`: {place} has no function or class {name!r}{did_you_mean(name, known)}.")
    loaded: Callable[..., Any] = getattr(found, name)
    return loaded


@contextmanager
def errors_of_own_code(reference: str, key: str) -> Iterator[None]:
    """Turn an exception of a user's code into a `UserError` that names the file and the line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"params.yaml: `{key}`: {reference} failed{_place(error)}. Correct it.") from error


def _import(module: str, reference: str, key: str, root: Path) -> Any:
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(error.name):
            raise UserError(
                f"params.yaml: `{key}`: there is no module {error.name!r}. Install its package, or correct the name."
            ) from None
        raise UserError(f"params.yaml: `{key}`: {reference} cannot be imported{_place(error)}.") from error
    except Exception as error:
        # Whatever a user's module does when it is imported.
        raise UserError(f"params.yaml: `{key}`: {reference} cannot be imported{_place(error)}. Correct it.") from error


def _place(error: Exception) -> str:
    """Where in own/ the error came up, and what it says."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError) and error.filename:
        return f", {Path(error.filename).name} line {error.lineno} ({said})"
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == OWN.name
    ]
    where = f", {Path(frames[-1][0].f_code.co_filename).name} line {frames[-1][1]}" if frames else ""
    return f"{where} ({said})"
