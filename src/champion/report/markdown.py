"""A report as a comment, within GitHub's size limit."""

import re

from champion.report.pull_request import Document

# GitHub refuses comments over 65,536 characters; the comment needs the rest for the text around the report.
LIMIT = 64_000
NOTE_LENGTH = 500
TABLE_ROWS = 40

# Text from outside never starts a line, so these find only our own lines.
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_SECTION = re.compile(r"^(?=### |<details>)", re.MULTILINE)
_TITLE = re.compile(r"(?:### |<details><summary>)(.*?)(?:</summary>)?\n")


def to_markdown(document: Document, limit: int = LIMIT) -> str:
    """GitHub's Markdown, at most `limit` bytes."""
    return shorten(document.text(page=False), limit)


def shorten(text: str, limit: int) -> str:
    """The text with the first rows of each table and the sections that fit `limit` bytes; a note names the others."""
    verdict, *sections = _SECTION.split(_TABLE.sub(_first_rows, text))
    kept, left_out = verdict, []
    for section in sections:
        if len((kept + section).encode()) <= limit - NOTE_LENGTH:
            kept += section
        else:
            left_out += _TITLE.findall(section)[:1]
    note = f"\nThis comment is too long, so only the HTML report has: {', '.join(left_out)}.\n" if left_out else ""
    return kept + note


def _first_rows(table: re.Match[str]) -> str:
    lines = table[0].splitlines(keepends=True)
    shown, rest = lines[: TABLE_ROWS + 2], lines[TABLE_ROWS + 2 :]
    return "".join(shown) + (f"\n{len(rest):,} more rows are not shown.\n" if rest else "")
