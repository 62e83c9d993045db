"""Markdown from templates, in which no text from outside can be anything but text."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_PLAIN_CODE = re.compile(r"(?! )[A-Za-z0-9_./,:;=+*%(){}\[\]'\" -]+(?<! )")
# An underscore or a dot is plain only where it can neither emphasise nor make a link.
_PLAIN_WORDS = re.compile(r"(?! )(?:[A-Za-z0-9]_(?=[A-Za-z0-9])|[0-9]\.(?=[0-9])|[A-Za-z0-9 ,()%-])+(?<! )")


def printable(text: str, length: int = 80) -> str:
    """The text on one line, cut to its length, with everything that does not print replaced."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def as_code(text: str, length: int = 80) -> Markup:
    """The text as code: GitHub interprets nothing there but a backtick, or a pipe in a table, which entities hide."""
    shown = printable(text, length)
    if _PLAIN_CODE.fullmatch(shown):
        return Markup("`{}`").format(Markup(shown))  # noqa: S704 - no character of it means anything in code
    encoded = "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in shown)
    return Markup("<code>{}</code>").format(Markup(encoded))  # noqa: S704


def as_words(text: str) -> Markup:
    """The text as it is, when Markdown sees nothing in it but words; else as code."""
    return Markup(text) if len(text) <= 80 and _PLAIN_WORDS.fullmatch(text) else as_code(text)  # noqa: S704


def environment(package: str) -> Environment:
    """The templates beside the package's code. They print each `str` as code, and only `Markup` as it stands."""
    made = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"words": as_words, "formatted": lambda value, how: Markup(how).format(value)}  # noqa: S704
    return made


def _finalize(value: Any) -> Any:
    return as_code(value) if isinstance(value, str) and not isinstance(value, Markup) else value
