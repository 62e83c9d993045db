"""Values for files and comparisons: finite, rounded, or as leaves of nested mappings."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

DECIMALS = 6


def finite(value: Any) -> float | None:
    """The value as a float if it is a finite number, else None."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None


def is_blank(text: str) -> bool:
    """Whether the text shows nothing: it is empty, or made of spaces and of characters that cannot be seen."""
    return not any(character.isprintable() and not character.isspace() for character in text)


def escaped(text: str) -> str:
    """The text with what a terminal would act upon, or nobody would see, written as an escape such as `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(text: str, length: int = 60) -> str:
    """The text in quotes on one line, cut off if it is longer than that."""
    return repr(text if len(text) <= length else f"{text[:length]}...")


def rounded(value: Any) -> Any:
    """The value with every float rounded to six decimals, and None for floats that are not finite."""
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0 if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


def flattened(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested mappings as (dotted key, value), sorted by key at each level."""
    for key in sorted(content, key=str):
        name = f"{prefix}.{key}" if prefix else str(key)
        value = content[key]
        if isinstance(value, Mapping) and value:
            yield from flattened(value, name)
        else:
            yield name, value
