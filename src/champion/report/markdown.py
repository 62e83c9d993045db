"""A report as GitHub's Markdown, in which no text from outside can be anything but text."""

import re
from collections.abc import Iterable

from champion.report.blocks import (
    BASE_COLOUR,
    GUIDE_COLOUR,
    HEAD_COLOUR,
    Bars,
    Block,
    Bullets,
    Cell,
    Chart,
    Code,
    Document,
    Inline,
    Paragraph,
    Section,
    Table,
)

# GitHub refuses a comment beyond 65,536 characters; the rest is for what the comment adds around the report.
LIMIT = 64_000
NOTE_LENGTH = 500
TABLE_ROWS = 40

_COLOUR_NAMES = {HEAD_COLOUR: "blue", BASE_COLOUR: "orange", GUIDE_COLOUR: "grey"}
_CHART_POINTS = 21

_PLAIN_CODE = re.compile(r"(?! )[A-Za-z0-9_./,:;=+*%(){}\[\]'\" -]+(?<! )")


def to_markdown(document: Document, limit: int = LIMIT) -> str:
    """GitHub's Markdown, at most `limit` bytes: a section that does not fit any more is left out, and named."""
    left = limit - NOTE_LENGTH
    text, left_out = "", []
    for part, title in [
        (f"## {_inline(document.title)}\n", "Verdict"),
        *((_section(section), section.title) for section in document.sections if not section.page_only),
    ]:
        if len(part.encode()) <= left:
            text += part
            left -= len(part.encode())
        else:
            left_out.append(title)
    note = f"\nToo long for a comment, so only in the HTML report: {', '.join(left_out)}.\n" if left_out else ""
    return text + note


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    if section.folded:
        return f"\n<details><summary>{section.title}</summary>\n\n{blocks}\n</details>\n"
    return f"\n### {section.title}\n\n{blocks}" if section.title else f"\n{blocks}"


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return f"{_inline(block.content)}\n"
        case Bullets():
            return "".join(f"- {_inline(item)}\n" for item in block.items)
        case Table():
            return _table(block)
        case Chart():
            return _chart(block)
        case Bars():
            raise NotImplementedError("Markdown has no bars; put them in a section of the page only")


def _table(table: Table) -> str:
    rule = ["---:" if number in table.right else "---" for number in range(len(table.header))]
    rows = [table.header, rule, *([_inline(cell) for cell in row] for row in table.rows[:TABLE_ROWS])]
    left_out = len(table.rows) - TABLE_ROWS
    note = f"\n{left_out:,} more rows are left out.\n" if left_out > 0 else ""
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + note


def _chart(chart: Chart) -> str:
    """A Mermaid chart, which GitHub draws itself. It spreads values evenly over the axis, so curves are resampled."""
    import numpy as np

    low = max(line.x[0] for line in chart.lines)
    high = min(line.x[-1] for line in chart.lines)
    at = np.linspace(low, high, _CHART_POINTS)
    curves = [np.interp(at, line.x, line.y) for line in chart.lines]
    top = max(float(curve.max()) for curve in curves)
    palette = ", ".join(line.colour for line in chart.lines)
    lines = [f"    line [{', '.join(f'{value:.4f}' for value in curve)}]" for curve in curves]
    names = ", ".join(f"{_COLOUR_NAMES[line.colour]}: {line.name}" for line in chart.lines)
    return "\n".join(
        [
            "```mermaid",
            f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{palette}"}}}}}}}}%%',
            "xychart-beta",
            f'    title "{chart.title}"',
            f'    x-axis "{chart.x_title}" {low:.4f} --> {high:.4f}',
            f'    y-axis "{chart.y_title}" 0 --> {max(top, 0.01):.4f}',
            *lines,
            "```",
            "",
            f"{names}.",
            "",
        ]
    )


def _inline(content: Cell) -> str:
    pieces: Iterable[Inline] = content if isinstance(content, tuple) else (content,)
    return "".join(_code(piece) if isinstance(piece, Code) else piece for piece in pieces)


def _code(code: Code) -> str:
    """Nothing is interpreted inside a code span but a backtick, or a pipe in a table; entities hide those."""
    shown = code.line
    if _PLAIN_CODE.fullmatch(shown):
        return f"`{shown}`"
    return "<code>" + "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in shown) + "</code>"
