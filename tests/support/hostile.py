"""Text that has a meaning in Markdown, HTML or GitHub, and the proof that a report shows it as text."""

import re

HOSTILE = [
    "a|b",
    "`a`",
    "``` ```mermaid",
    "<script>alert(1)</script>",
    "@everyone",
    "x\n\n# heading\n| a | b |",
    "\\|",
    "[a](javascript:b)",
    "![i](https://x.example/i.png)",
    "\u202ereversed",
    "$`x`$",
    "-->",
    "&lt;b&gt;",
    "\ud800",
    "long" * 200,
    "",
    " ",
]


def assert_only_text(markdown: str) -> None:
    """Outside of code, only the report's own markup occurs, and all rows of a table have the same number of cells."""
    shown = markdown.replace("\n", "") + "".join(chr(int(code)) for code in re.findall(r"&#(\d+);", markdown))
    assert shown.isprintable()
    outside = re.sub(r"```mermaid\n.*?```", "", markdown, flags=re.DOTALL)
    outside = re.sub(r"<code>[^<>`|@\n\\]*</code>|`[^`|@<>\n\\]+`", "X", outside)
    outside = outside.replace("<details><summary>", "").replace("</summary>", "").replace("</details>", "")
    assert not re.search(r"[`<>@\\\r]|!\[|\]\(", outside), outside
    width = 0
    for line in outside.split("\n"):
        cells = line.count("|") if line.startswith("|") else 0
        assert not width or cells in (0, width), line
        width = cells
