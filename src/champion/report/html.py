"""A report as one HTML file. It needs no other file, as the plots are images inside it, and it runs no script."""

import base64
import html
import re

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline

from champion.report.pull_request import Document

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #16181d; --line: #c9cdd4; --code: #eff1f3 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14161a; --ink: #eceef2; --line: #434955; --code: #24282f }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 0.5rem 0 1rem }
th, td { border: 1px solid var(--line); padding: 0.25rem 0.75rem; vertical-align: top;
  font-variant-numeric: tabular-nums }
th:not([style]) { text-align: left }
thead:not(:has(th:not(:empty))) { display: none }
code { background: var(--code); padding: 0 0.25rem; overflow-wrap: anywhere }
img { max-width: 100% }
p:has(> img) { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top }
"""
# The browser refuses everything from outside the file, in case the escaping misses something.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_ENCODED_CODE = re.compile(r"<code>((?:[^\W_]| |&#\d+;)*)</code>")


def to_html(document: Document) -> str:
    """The whole page. Raises `UserError` when the package that draws plots is not installed."""
    markdown = parser()
    tokens = markdown.parse(document.text(page=True))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            # The title is a heading of level 2 in a comment, but of level 1 in a page.
            token.tag = f"h{int(token.tag[1]) - 1}"
        for child in token.children or []:
            if child.type == "image":
                svg = document.plots[int(str(child.attrs["src"]))].svg()
                child.attrs["src"] = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    title = "".join(child.content for child in tokens[1].children or [])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{markdown.renderer.render(tokens, markdown.options, {})}</body>\n</html>\n"
    )


def parser() -> MarkdownIt:
    """A Markdown parser with tables and without HTML. It shows tags as text, except `<code>` of `as_code`."""
    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    made.inline.ruler.before("entity", "encoded_code", _parse_encoded_code)
    return made


def _parse_encoded_code(state: StateInline, silent: bool) -> bool:
    found = _ENCODED_CODE.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        state.push("code_inline", "code", 0).content = html.unescape(found[1])
    state.pos = found.end()
    return True
