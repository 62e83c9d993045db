"""A report as a comment, which GitHub limits."""

import re

from champion.report.pull_request import Document

# GitHub refuses a comment beyond 65,536 characters; the rest is for what the comment adds around the report.
LIMIT = 64_000
NOTE_LENGTH = 500
TABLE_ROWS = 40

# No text from outside begins a line.
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_SECTION = re.compile(r"^(?=### |<details>)", re.MULTILINE)
_TITLE = re.compile(r"(?:### |<details><summary>)(.*?)(?:</summary>)?\n")


def to_markdown(document: Document, limit: int = LIMIT) -> str:
    """GitHub's Markdown, at most `limit` bytes."""
    return shorten(document.text(page=False), limit)


def shorten(text: str, limit: int) -> str:
    """Of each table its first rows, and of the sections those that fit into the limit, in bytes; the rest is named."""
    verdict, *sections = _SECTION.split(_TABLE.sub(_first_rows, text))
    kept, left_out = verdict, []
    for section in sections:
        if len((kept + section).encode()) <= limit - NOTE_LENGTH:
            kept += section
        else:
            left_out += _TITLE.findall(section)[:1]
    note = f"\nToo long for a comment, so only in the HTML report: {', '.join(left_out)}.\n" if left_out else ""
    return kept + note


def _first_rows(table: re.Match[str]) -> str:
    lines = table[0].splitlines(keepends=True)
    shown, rest = lines[: TABLE_ROWS + 2], lines[TABLE_ROWS + 2 :]
    return "".join(shown) + (f"\n{len(rest):,} more rows are left out.\n" if rest else "")
