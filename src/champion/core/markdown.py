"""Markdown from templates. Text from outside stays plain text: it cannot become Markdown or HTML."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_PLAIN_CODE = re.compile(r"(?! )[A-Za-z0-9_./,:;=+*%(){}\[\]'\" -]+(?<! )")
# An underscore or a dot is plain only where it cannot start emphasis or a link.
_PLAIN_WORDS = re.compile(r"(?! )(?:[A-Za-z0-9]_(?=[A-Za-z0-9])|[0-9]\.(?=[0-9])|[A-Za-z0-9 ,()%-])+(?<! )")

# A dot or colon is plain before a space: it can be no link there.
_MEANING = re.compile(r"[^\w ,;()%'/.:-]|_|[.:](?! |$)|^-")


def printable(text: str, length: int = 80) -> str:
    """The text on one line, cut to `length` characters, with every unprintable character replaced."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def as_code(text: str, length: int = 80) -> Markup:
    """The text as code. In code, GitHub interprets only backticks, and pipes in tables; entities hide those."""
    shown = printable(text, length)
    if _PLAIN_CODE.fullmatch(shown):
        return Markup("`{}`").format(Markup(shown))  # noqa: S704 - none of its characters has a meaning in code
    encoded = "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in shown)
    return Markup("<code>{}</code>").format(Markup(encoded))  # noqa: S704


def as_words(text: str) -> Markup:
    """The text unchanged if Markdown reads it as plain words, else as code."""
    return Markup(text) if len(text) <= 80 and _PLAIN_WORDS.fullmatch(text) else as_code(text)  # noqa: S704


def as_text(text: str) -> Markup:
    """A sentence as it is. Every character that could have a meaning in Markdown or HTML is an entity."""
    return Markup(_MEANING.sub(lambda found: f"&#{ord(found[0])};", printable(text.strip(), 1000)))  # noqa: S704


def environment(package: str) -> Environment:
    """The templates in the package's folder. They print each `str` as code, and only `Markup` unchanged."""
    made = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"words": as_words, "sentence": as_text}
    made.filters["formatted"] = lambda value, how: Markup(how).format(value)  # noqa: S704
    return made


def _finalize(value: Any) -> Any:
    return as_code(value) if isinstance(value, str) and not isinstance(value, Markup) else value
