"""Parameter sets as a user writes them: each `-S` is one set, and a grid means all its combinations."""

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from champion.core.errors import UserError
from champion.core.layout import PARAMS
from champion.core.strict_yaml import read
from champion.model.recipe import Training, section_of
from champion.params import Params

Set = tuple[str, ...]

# A comma before another assignment; commas inside a value, such as [a,b], do not match.
_BETWEEN = re.compile(r",(?=[+~]{0,2}[A-Za-z_][^\s=,\[\]{}]*=)")


def parse(sets: Sequence[str], grids: Sequence[str]) -> list[Set]:
    """Every set once, in order. With sets and a grid, each set is combined with each point of the grid.

    A set is `key=value,key=value`. A grid has DVC's syntax, such as `key=value,value` or `key=range(1,4)`, with spaces
    between keys. Raises `UserError` for anything else.
    """
    given = [tuple(_assignment(one) for one in _BETWEEN.split(text)) for text in sets]
    axes = [_assignment(text) for grid in grids for text in grid.split()]
    if not given and not axes:
        raise UserError("no set was given: add -S key=value for each set, or --grid 'key=value,value'.")
    return list(dict.fromkeys((*one, *point) for point in _points(axes) for one in given or [()]))


def checked(root: Path, sets: Iterable[Set]) -> list[Set]:
    """The sets in DVC's form, each checked with params.yaml. Raises `UserError` naming the wrong set.

    If `train` has no key X, `train.X` means the parameter X of the estimator.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    content = (root / PARAMS).read_bytes()
    train = read(Params, root / PARAMS).train.model_dump(exclude_unset=True)
    found = []
    for one in sets:
        full = tuple(_full(text, train, one) for text in one)
        with tempfile.TemporaryDirectory(prefix="champion-") as folder:
            path = Path(folder) / PARAMS
            path.write_bytes(content)
            try:
                apply_overrides(path, list(full))
                read(Params, path)
            except DvcException as error:
                reason = str(error.__cause__ or error).partition("\n")[0]
                raise UserError(f"{','.join(one)}: {reason.rstrip('.')}. {PARAMS} has all keys.") from None
            except UserError as error:
                raise UserError(f"{','.join(one)}: {str(error).replace(str(path), str(PARAMS))}") from None
        found.append(full)
    return found


def _assignment(text: str) -> str:
    key, equals, value = text.strip().partition("=")
    if not key or not equals or not value:
        raise UserError(f"{text!r} is not an assignment such as train.max_depth=10.")
    return text.strip()


def _points(axes: list[str]) -> list[Set]:
    from dvc.utils.hydra import get_hydra_sweeps
    from hydra.errors import HydraException

    try:
        return [tuple(point[PARAMS]) for point in get_hydra_sweeps({PARAMS: axes})]
    except HydraException:
        raise UserError(f"{' '.join(axes)!r} is not a grid such as train.max_depth=5,10.") from None


def _full(text: str, train: Mapping[str, Any], one: Set) -> str:
    key, _, value = text.partition("=")
    chosen = [other.partition("=")[2] for other in one if other.startswith("train.estimator=")]
    section_of_estimator = section_of(chosen[-1] if chosen else str(train.get("estimator")))
    match key.split("."):
        case ["train", parameter] if parameter not in Training.model_fields:
            section = section_of_estimator
        case ["train", section, parameter] if section == section_of_estimator:
            pass
        case _:
            return text
    # DVC needs a `+` to add a key that does not exist yet.
    known = parameter in train.get(section, {})
    return f"{'' if known else '+'}train.{section}.{parameter}={value}"
