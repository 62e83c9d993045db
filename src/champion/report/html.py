"""A report as one HTML file that needs nothing else: plots are images inside it, and it runs no script."""

import base64
import html
import json
from collections.abc import Iterable
from typing import Any

from champion.core.errors import UserError
from champion.report.blocks import Bars, Block, Bullets, Cell, Chart, Code, Document, Inline, Paragraph, Section, Table

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 0.5rem 0 1rem }
th, td { border: 1px solid #d1d9e0; padding: 0.25rem 0.75rem; text-align: left; vertical-align: top }
td.right, th.right { text-align: right; font-variant-numeric: tabular-nums }
code { background: #eff1f3; padding: 0 0.25rem; overflow-wrap: anywhere }
img { max-width: 100% }
"""
# The browser refuses everything that is not in the file, should anything ever slip through the escaping.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def to_html(document: Document) -> str:
    """The whole page. Raises `UserError` when the package that draws plots is not installed."""
    title = "".join(piece.line if isinstance(piece, Code) else piece for piece in _pieces(document.title))
    body = "\n".join([f"<h1>{_inline(document.title)}</h1>", *(_section(section) for section in document.sections)])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def svg(plot: Chart | Bars) -> str:
    """A plot as a picture. Raises `UserError` when the package that draws it is not installed."""
    try:
        import vl_convert
    except ImportError:
        raise UserError(
            "plots are drawn by vl-convert-python, which is not installed. Run `make setup GROUP=report`, or "
            "`pip install --no-deps --require-hashes -r requirements/report.txt`."
        ) from None
    spec = _lines_spec(plot) if isinstance(plot, Chart) else _bars_spec(plot)
    drawn: str = vl_convert.vegalite_to_svg(json.dumps(spec))
    return drawn


def _section(section: Section) -> str:
    heading = f"<h2>{html.escape(section.title)}</h2>\n" if section.title else ""
    return heading + "\n".join(_block(block) for block in section.blocks)


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return f"<p>{_inline(block.content)}</p>"
        case Bullets():
            return f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in block.items)}</ul>"
        case Table():
            return _table(block)
        case Chart() | Bars():
            return _image(block)


def _table(table: Table) -> str:
    def row(cells: Iterable[Cell], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=right' if number in table.right else ''}>{_inline(cell)}</{tag}>"
            for number, cell in enumerate(cells)
        )

    rows = [row(table.header, "th")] if any(table.header) else []
    rows += [row(cells, "td") for cells in table.rows]
    return "<table>\n" + "".join(f"<tr>{cells}</tr>\n" for cells in rows) + "</table>"


def _inline(content: Cell) -> str:
    return "".join(
        f"<code>{html.escape(piece.line)}</code>" if isinstance(piece, Code) else _trusted(piece)
        for piece in _pieces(content)
    )


def _trusted(text: str) -> str:
    """Our own text, whose only Markdown is a pair of double asterisks."""
    parts = html.escape(text).split("**")
    return "".join(f"<b>{part}</b>" if number % 2 else part for number, part in enumerate(parts))


def _pieces(content: Cell) -> Iterable[Inline]:
    return content if isinstance(content, tuple) else (content,)


def _image(plot: Chart | Bars) -> str:
    drawn = base64.b64encode(svg(plot).encode()).decode()
    return f'<p><img alt="{html.escape(plot.title)}" src="data:image/svg+xml;base64,{drawn}"></p>'


def _lines_spec(chart: Chart) -> dict[str, Any]:
    return _spec(
        chart.title,
        [
            {"x": x, "y": y, "position": position, "curve": line.name}
            for line in chart.lines
            for position, (x, y) in enumerate(zip(line.x, line.y, strict=True))
        ],
        {"type": "line"},
        {
            "x": {"field": "x", "type": "quantitative", "title": chart.x_title},
            "y": {"field": "y", "type": "quantitative", "title": chart.y_title},
            "order": {"field": "position"},
            "color": _colours("curve", [(line.name, line.colour) for line in chart.lines]),
        },
    )


def _bars_spec(bars: Bars) -> dict[str, Any]:
    return _spec(
        bars.title,
        [
            {"name": Code(name).line, "value": value, "side": side}
            for side, _, values in bars.series
            for name, value in zip(bars.names, values, strict=True)
        ],
        {"type": "bar"},
        {
            "x": {"field": "value", "type": "quantitative", "title": bars.x_title},
            "y": {"field": "name", "type": "nominal", "title": None, "sort": None},
            "yOffset": {"field": "side", "sort": None},
            "color": _colours("side", [(side, colour) for side, colour, _ in bars.series]),
        },
    )


def _colours(field: str, names: list[tuple[str, str]]) -> dict[str, Any]:
    scale = {"domain": [name for name, _ in names], "range": [colour for _, colour in names]}
    return {"field": field, "type": "nominal", "title": None, "scale": scale}


def _spec(title: str, values: list[dict[str, Any]], mark: dict[str, Any], encoding: dict[str, Any]) -> dict[str, Any]:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": title,
        "width": 520,
        "data": {"values": values},
        "mark": mark,
        "encoding": encoding,
    }
