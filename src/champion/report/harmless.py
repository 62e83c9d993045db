"""A report that the code of a pull request wrote, as text that acts on nobody and hides nothing.

Only what `champion report` itself writes stays Markdown, and it stays as it is: headings, tables, lists, paragraphs,
its folded sections and its charts. Everything else becomes code, in which GitHub makes no mention, link, image or
reference. This module uses only the standard library, because the job that posts the comment installs nothing.
"""

import re
import unicodedata
from html import unescape

# GitHub also notifies for an encoded @, but not for an @ with a zero-width space after it.
_AT = re.compile("(?:@|&#0*64;|&#x0*40;|&commat;)\N{ZERO WIDTH SPACE}?", re.IGNORECASE)
QUIET_AT = "@\N{ZERO WIDTH SPACE}"

FOLDED = ("Lineage", "Other metrics of the test", "Rehearsals that chose the recipe")
_FOLD = {f"<details><summary>{title}</summary>" for title in FOLDED}
_UNFOLD = "</details>"

_LABEL = r'"[\w ,.:()/+=-]*"'
_NUMBER = r"-?\d+(?:\.\d+)?"
_CHART = re.compile(
    rf"""```mermaid
%%\{{init: \{{"themeVariables": \{{"xyChart": \{{"plotColorPalette": "#[0-9a-f]{{6}}(?:, #[0-9a-f]{{6}})*"\}}\}}\}}\}}%%
xychart-beta
    title {_LABEL}
    x-axis {_LABEL} {_NUMBER} --> {_NUMBER}
    y-axis {_LABEL} 0 --> {_NUMBER}
(?:    line \[{_NUMBER}(?:, {_NUMBER})*\]\n)+```\n"""
)

# What `as_code` makes: a code span, or an element whose characters are encoded.
_SPAN = r"(?<!`)`(?! )[A-Za-z0-9_./,:;=+*%(){}\[\]'\" -]+(?<! )`(?!`)"
_ELEMENT = rf"<code>(?:[^\W_]| |&#\d+;|{QUIET_AT})*</code>"
_CODE = re.compile(f"{_SPAN}|{_ELEMENT}")
_WORDS = re.compile(
    r"(?:[A-Za-z0-9 ,;().%'“”≈▲▼=✅❌➖—/+-]|(?<=\w)_(?=\w)|:(?= |$)|\*\*(?:fail|The test rows changed)\*\*)*"
)
# What GitHub makes links of in plain words: addresses, commits, and the names of issues and of advisories.
_REFERENCE = re.compile(r"www\.|\b[0-9a-f]{7,40}\b|[a-z]-\d|\b(?:gh|ghsa|cve)-", re.IGNORECASE)
_RULE = re.compile(":?-+:?")
_PREFIXES = (("heading", "## "), ("heading", "### "), ("item", "- "))
# With these a list, a rule, indented code or an underlined heading would begin.
_NO_PARAGRAPH = re.compile(r"[-+= ]|\d+[.)]( |$)|$")
_REST = re.compile(r"[\d,]+ more rows are not shown\.")
# More marks on one letter would reach over the lines around it.
_MARKS = 4


def harmless(report: str) -> str:
    """The report with code in the place of everything that `champion report` does not write. It ends with a newline.

    Its blocks are closed, so what follows it stands alone.
    """
    text = _AT.sub(QUIET_AT, report.replace("\r\n", "\n").replace("\r", "\n")).rstrip("\n") + "\n"
    page = _Page()
    at = 0
    while at < len(text):
        chart = _CHART.match(text, at)
        end = chart.end() if chart else text.index("\n", at) + 1
        if chart:
            page.add("chart", chart[0][:-1])
        else:
            page.read(text[at : end - 1])
        at = end
    return page.closed()


class _Page:
    """The lines so far. Lines of two kinds have a blank line between them, so no block reaches into the next."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._kind = ""
        self._folded = False

    def read(self, line: str) -> None:
        """Add a line of the report."""
        if not line:
            self.add("", "")
        elif line in _FOLD:
            self._unfold()
            self.add("fold", line)
            self._folded = True
        elif line == _UNFOLD:
            if self._folded:
                self._unfold()
            else:
                self.add("text", _as_code(line))
        elif line.startswith("|") and line.endswith("|") and len(line) > 1:
            self.add("row", "|".join(("", *map(_cell, line[1:-1].split("|")), "")))
        elif self._folded and _REST.fullmatch(line):
            self.add("text", line)
        else:
            self._unfold()
            self._read_text(line)

    def _read_text(self, line: str) -> None:
        kind, prefix = next((pair for pair in _PREFIXES if line.startswith(pair[1])), ("text", ""))
        text = line.removeprefix(prefix)
        self.add(kind, prefix + (_as_code(text) if _NO_PARAGRAPH.match(text) else _kept(text)))

    def add(self, kind: str, line: str) -> None:
        """Add a line that is harmless, after a blank one unless the line before it is of the same block."""
        if kind == "chart":
            self._unfold()
        if kind and self._kind and not (kind == self._kind and kind in {"row", "item"}):
            self._lines.append("")
        self._lines.append(line)
        self._kind = kind

    def closed(self) -> str:
        """All lines, with a folded section closed."""
        self._unfold()
        return "\n".join(self._lines) + "\n"

    def _unfold(self) -> None:
        if self._folded:
            self._folded = False
            self.add("fold", _UNFOLD)


def _cell(cell: str) -> str:
    inner = cell.strip(" ")
    if not inner or _RULE.fullmatch(inner):
        return cell
    return cell.replace(inner, _kept(inner))


def _kept(text: str) -> str:
    """The text if `champion report` could have written it; otherwise as code."""
    return text if text and _is_ours(text) else _as_code(text)


def _is_ours(text: str) -> bool:
    plain = all(_WORDS.fullmatch(piece) and not _REFERENCE.search(piece) for piece in _CODE.split(text))
    shown = unescape(text).replace(QUIET_AT, "@")
    return plain and shown.isprintable() and _calm(shown) == shown


def _as_code(text: str) -> str:
    parts = (_calm(_printable(part)) for part in text.split(QUIET_AT))
    return f"<code>{QUIET_AT.join(_encoded(part) for part in parts)}</code>"


def _encoded(text: str) -> str:
    return "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in text)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _calm(text: str) -> str:
    """The text without more marks on one letter than a language needs."""
    kept, run = [], 0
    for c in text:
        run = run + 1 if unicodedata.category(c).startswith("M") else 0
        if run <= _MARKS:
            kept.append(c)
    return "".join(kept)
