"""YAML texts, read as DVC reads them. One that is not YAML, or absurd, gives one sentence and costs little."""

import io
import re
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

from champion.core.errors import NotFoundError, UserError

LARGEST_FILE = 300_000
# Aliases can make a short text stand for billions of values, and refer to themselves.
MOST_VALUES = 100_000
DEEPEST = 50
# So many open brackets would take ruamel.yaml seconds. A text may have some brackets in quotes, but not so many.
MOST_OPEN = 1000
LONGEST_INTEGER_BITS = 1024
# An escape in quotes can make one, and no file or library takes it.
_HALF = re.compile("[\ud800-\udfff]")
TOO_DEEP = f"it has more than {DEEPEST} levels of brackets or sections"


def parse_yaml(text: str) -> Any:
    """The content of a YAML text. Raises `ValueError` when it is not valid, or absurdly deep, long or large."""
    # DVC uses ruamel.yaml too. PyYAML reads `1e-05` as text, `012` as 10, `on` as true, and accepts duplicate keys.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text) > LARGEST_FILE:
        raise ValueError(f"it is longer than {LARGEST_FILE:,} characters")
    if _most_open(text) > MOST_OPEN:
        raise ValueError(TOO_DEEP)
    try:
        document = YAML(typ="safe").load(text)
    except YAMLError as error:
        raise ValueError(f"not valid YAML ({' '.join(str(error).split())})") from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # ruamel.yaml lets out what a value's own type raises: a month 13, `!!int x`, an integer of 5,000 digits.
        reason = " ".join(str(error).split()).partition(";")[0]
        raise ValueError(f"not valid YAML (a value cannot be read: {reason})") from None
    _measure(document, 0, {})
    return document


def read_yaml(path: Path, name: Path | None = None) -> Any:
    """The content of a YAML file. Raises `UserError`, with the `name` or else the path, when missing or not valid."""
    shown = name or path
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(
            f"{shown}: no such file. It belongs in the root of the repository; `git restore` restores it."
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{shown}: not valid YAML (it is not UTF-8 text).") from None
    except ValueError as error:
        raise UserError(f"{shown}: {error}. Correct it.") from None


def as_yaml(value: Any, *, flow: bool | None = True) -> str:
    """The value as YAML: on one line, or with `flow` None only its innermost lists and mappings on one line each."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 1_000_000
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue().removesuffix("...\n").rstrip("\n")


def edited_as_dvc_does(text: str, edit: Callable[[Any], object] | None = None) -> str:
    """The YAML text after the edit, with its comments, in the layout that DVC writes."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    document, stream = yaml.load(text), io.StringIO()
    if edit is not None:
        edit(document)
    yaml.dump(document, stream)
    return stream.getvalue()


def _most_open(text: str) -> int:
    """How many brackets are open at once, if none is in quotes."""
    steps = ((bracket in "[{") - (bracket in "]}") for bracket in re.findall(r"[\[\]{}]", text))
    return max(accumulate(steps), default=0)


def _measure(node: Any, depth: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values a node stands for with all aliases written out, and how deep it is."""
    if depth > DEEPEST:
        raise ValueError(TOO_DEEP)
    if isinstance(node, int) and node.bit_length() > LONGEST_INTEGER_BITS:
        raise ValueError("it has an integer of more than 300 digits")
    if isinstance(node, str) and (half := _HALF.search(node)):
        raise ValueError(f"it has {half[0]!a}, which is half of a character; write the whole one instead of an escape")
    if isinstance(node, dict):
        inner = [*node, *node.values()]
    elif isinstance(node, list | tuple | set):
        inner = list(node)
    else:
        return 1, 0
    if id(node) not in known:
        measured = [_measure(one, depth + 1, known) for one in inner]
        known[id(node)] = 1 + sum(size for size, _ in measured), 1 + max((deep for _, deep in measured), default=0)
    size, deep = known[id(node)]
    if depth + deep > DEEPEST:
        raise ValueError(TOO_DEEP)
    if size > MOST_VALUES:
        raise ValueError(f"it stands for more than {MOST_VALUES:,} values, with its aliases written out")
    return size, deep
