"""What a report may try on the reader of its comment, shown with GitHub's own parser of Markdown."""

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cmarkgfm import cmark, markdown_to_html_with_extensions
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

import champion.report
from champion.report.comment import comment_body
from champion.report.harmless import FOLDED, harmless
from support.hostile import HOSTILE
from support.project import REPOSITORY

RUN = {"head_sha": "a" * 40, "run_number": 12, "html_url": "https://github.example/o/r/runs/12"}
FOOTER = f"Written by the code of this pull request, in run 12 of {'a' * 12}."
EXTENSIONS = ["table", "autolink", "tagfilter", "strikethrough", "tasklist"]
OPTIONS = cmark.Options.CMARK_OPT_UNSAFE | cmark.Options.CMARK_OPT_FOOTNOTES | cmark.Options.CMARK_OPT_GITHUB_PRE_LANG
OURS = {"h2", "h3", "p", "ul", "li", "code", "pre", "strong", "details", "summary", "sub", "a", "hr"}
OURS |= {"table", "thead", "tbody", "tr", "th", "td"}
# What GitHub makes of plain words: mentions, issues, commits, advisories, formulas and emoji.
ACTING = re.compile(
    r"(?<!\w)@\w|#\d|\bGH-\d|\b[0-9a-f]{7,40}\b|\bGHSA-|\bCVE-\d|\$|:[a-z+\d_-]+:|\b[A-Z]+-\d|https?:|www\.",
    re.IGNORECASE,
)
OUR_CHART = r'%%\{init: .*\}%%|xychart-beta| {4}(title|x-axis|y-axis) "[^"`<>@{}#;]*"[-0-9 .>]*| {4}line \[[0-9., ]*\]'
CHART = """```mermaid
%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "#999999"}}}}}}}}%%
xychart-beta
    title "{}"
    x-axis "x" 0.0000 --> 1.0000
    y-axis "y" 0 --> 1.0000
    line [0.0000, 1.0000]
```
"""


@dataclass
class Page(HTMLParser):
    """A comment as a browser has it. Elements that are not closed, or closed in another order, are an error."""

    text: str
    open: list[tuple[str, bool]] = field(default_factory=list)
    top: list[list[str]] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    links: list[str | None] = field(default_factory=list)
    words: str = ""
    code: list[str] = field(default_factory=list)
    charts: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"}]
        assert tag == "a" or {name for name, _ in attrs} <= {"align", "lang"}, attrs
        if not self.open:
            self.top.append([tag, ""])
        if tag != "hr":
            self.open.append((tag, ("lang", "mermaid") in attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"nothing to close with {tag}"
        assert self.open.pop()[0] == tag, f"{tag} is closed too early"

    def handle_data(self, data: str) -> None:
        within = [tag for tag, _ in self.open]
        if within:
            self.top[-1][1] += data
        if ("pre", True) in self.open:
            self.charts.append(data)
        elif "code" in within:
            self.code.append(data)
        elif "sub" not in within:
            self.words += data
        if "details" in within and "summary" not in within:
            self.hidden.append(data)

    def handle_comment(self, data: str) -> None:
        assert data.startswith(" champion:"), "a comment hides text"


def rendered(report: str) -> Page:
    """The comment with this report, as GitHub renders it, without what GitHub makes of words."""
    return Page(markdown_to_html_with_extensions(comment_body(report, RUN, [1]), OPTIONS, EXTENSIONS))


def assert_harmless(report: str) -> Page:
    """The comment acts on nobody, hides nothing but our own folded sections, and ends with the footer."""
    page = rendered(report)
    assert page.tags <= OURS
    assert page.links == [RUN["html_url"]]
    assert page.top[-1] == ["p", FOOTER]
    assert not ACTING.search(page.words), page.words
    assert "@" not in page.text.replace("@\N{ZERO WIDTH SPACE}", "")
    assert page.text.count("<pre") == len(page.charts)
    for chart in page.charts:
        assert all(re.fullmatch(OUR_CHART, line) for line in chart.splitlines()), chart
    shown = unescape(page.text).replace("@\N{ZERO WIDTH SPACE}", "").replace("\n", "")
    assert shown.isprintable()
    assert not re.search("\N{COMBINING LONG VERTICAL LINE OVERLAY}{5}|\N{COMBINING LONG SOLIDUS OVERLAY}{5}", shown)
    assert page.text.count("<sub>") == 1
    return page


ATTACKS = {
    "a mention": "@everyone, look",
    "a mention as an entity": "&#64;everyone &#x40;a &commat;b",
    "a mention in a table": "| a |\n| --- |\n| @everyone |",
    "a mention in code that is not code": "`` `@everyone` ``\\`@everyone\\`",
    "a mention of an address": "write to <ada@example.org> or ada@example.org",
    "an address in an element": "<code>ada&#64;example&#46;org</code>",
    "a link": "[the report](https://evil.example)",
    "a link by reference": "[the report][x]\n\n[x]: https://evil.example",
    "a link to a footnote": "a[^1]\n\n[^1]: https://evil.example",
    "a bare address": "see https://evil.example/a for more",
    "a bare address without a scheme": "see www.evil.example for more",
    "an address in angle brackets": "<https://evil.example>",
    "a link in HTML": '<a href="https://evil.example">the report</a>',
    "a link in a heading": "### [Gates](https://evil.example)",
    "a link in a cell": "| a |\n| --- |\n| [x](https://evil.example) |",
    "an image": "![x](https://evil.example/pixel.png)",
    "an image in HTML": '<img src="https://evil.example/pixel.png">',
    "an image in a picture": '<picture><source srcset="https://evil.example/a.png"></picture>',
    "an issue": "as in #123",
    "an issue as an entity": "as in &#35;123",
    "an issue by GH": "as in GH-123",
    "an issue of another repository": "as in owner/repo#1",
    "an issue by its address": "https://github.com/owner/repo/issues/1",
    "a commit": "since deadbeef01",
    "a commit of another repository": "since owner/repo@deadbeef01",
    "an advisory": "fixes CVE-2024-1234 and GHSA-jfh8-c2jp-5v3q",
    "a ticket": "closes JIRA-12",
    "an emoji by name": "gates :white_check_mark: pass",
    "a formula": "$$\\color{white}{all}$$ and $`x`$",
    "folding the rest away": "<details><summary>More</summary>\n\nall is well",
    "folding without a summary": "<details>\nall",
    "folding with our own title": "<details><summary>Lineage</summary>\n\n| a |\n| --- |\n| b |",
    "folding the verdict": "<details><summary>Lineage</summary>\n\n## ❌ Model: gate closed\n\n</details>",
    "closing what is not open": "x\n\n</details>\n\n</sub></p></div>",
    "folding in capitals": "<DETAILS><SUMMARY>x</SUMMARY>",
    "a fence that stays open": "```\nx",
    "a fence of tildes": "~~~~ text\nx",
    "a fence in a list": "- ```\n  x",
    "a comment that stays open": "x <!-- y",
    "a comment at a line's start": "<!--\nx",
    "a comment of another kind": "<!x\n<?php\n<![CDATA[ x",
    "a script": "<script>\nalert(1)",
    "a style that hides": "<div style='display:none'>\n\nx",
    "an unclosed table": "<table><tr><td>\n\nx",
    "an unclosed attribute": '<p title="',
    "pre that stays open": "<pre>\nx",
    "a hidden element": "<p hidden>\n\nx",
    "small text": "<sub>Written by the maintainers.</sub>",
    "a quotation": "> x\ny",
    "an alert": "> [!CAUTION]\n> x",
    "a list with the footer as its item": "1. x\n\n   y\n-",
    "a task list": "- [x] reviewed",
    "a heading made of a line under the text": "x\n===\ny\n---",
    "an indented block": "    x\n\n    y",
    "a chart with a click": '```mermaid\ngraph TD\nA-->B\nclick A "https://evil.example"\n```',
    "a chart with HTML": "```mermaid\ngraph TD\nA[\"<img src='https://evil.example/x.png'>\"]\n```",
    "our chart with another line": CHART.format("x").replace("    line", "    click A href\n    line"),
    "our chart with a title that ends it": CHART.format('x"\n```\n@everyone'),
    "our chart that stays open": CHART.format("x").removesuffix("```\n"),
    "a map": '```geojson\n{"type": "Point", "coordinates": [0, 0]}\n```',
    "a formula in a fence": "```math\nx\n```",
    "struck out": "~~all~~",
    "letters that reach over the lines around": "a" + "\N{COMBINING LONG VERTICAL LINE OVERLAY}" * 300,
    "letters that reach over the lines around, in code": f"<code>a{'&#824;' * 300}</code>",
    "text that runs backwards": "\N{RIGHT-TO-LEFT OVERRIDE}x and <code>&#8238;x</code>",
    "a carriage return": "x\r<details>\ry",
    "other ends of lines": "x\u2028<details>\x0b<details>\x0c<details>\x85",
    "a null": "x\0<details>",
    "a cell that ends its table": "| a |\n| --- |\n| `x | <details> |",
    "a code span over two lines": "`a\n<details>`",
    "two code spans as one": "`a``<details>``b`",
    "a backslash before code": "\\`x`<details>`",
    "a marker of ours": "<!-- champion: the report on this pull request -->",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_shown_as_text(attack: str) -> None:
    page = assert_harmless(f"## ✅ Model: gates pass\n\n{attack}\n")
    assert ["h2", "✅ Model: gates pass"] in page.top


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_inside_a_folded_section_is_shown_as_text(attack: str) -> None:
    assert_harmless(f"<details><summary>Lineage</summary>\n\n| a |\n| --- |\n{attack}\n")


def test_a_folded_section_hides_tables_alone() -> None:
    page = assert_harmless("<details><summary>Lineage</summary>\n\n| a |\n| --- |\n| b |\n\n## ❌ Model: gate closed\n")
    assert "".join(page.hidden).split() == ["a", "b"]
    assert ["h2", "❌ Model: gate closed"] in page.top


def test_the_characters_of_an_attack_stay_readable() -> None:
    page = assert_harmless("as in #123: <details> & [x](y)")
    assert page.code == ["as in #123: <details> & [x](y)"]


PIECES = [
    "`", "``", "```", "<code>", "</code>", "<details>", "</details>", "<details><summary>Lineage</summary>",
    "|", "| a |", "| --- |", "\n", "\n\n", "- ", "## ", "    ", "> ", "1. ", "@x", "#1", "&#64;", "&#35;",
    "[", "](", ")", "!", "<!--", "-->", "$", "~~~", "\\", "**", "_", ":", "www.", "https://e.org", "deadbeef1",
    "GH-1", "a", "*fail*", "```mermaid\n", CHART.format("t"), "<sub>", "---", "===", "\r", "\0", "`a`", "**fail**",
    "12 more rows are not shown.",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=30).map("".join))
def test_no_text_at_all_acts_or_hides(report: str) -> None:
    assert_harmless(report)


@given(st.lists(st.sampled_from(PIECES) | st.sampled_from(HOSTILE), max_size=30).map("".join))
def test_what_is_harmless_stays_as_it_is(report: str) -> None:
    once = harmless(report)
    assert harmless(once) == once


def test_only_sections_that_our_template_folds_may_be_folded() -> None:
    template = (Path(champion.report.__file__).parent / "pull_request.md.j2").read_text(encoding="utf-8")
    assert Environment(autoescape=True).parse(template)
    assert tuple(sorted(re.findall(r'section\("([^"]*)", folded=true\)', template))) == FOLDED


def test_the_report_in_our_documentation_stays_as_it_is() -> None:
    shown = (
        (REPOSITORY / "docs/pull-requests.md")
        .read_text(encoding="utf-8")
        .partition("\n---\n\n")[2]
        .partition("\n## Next")[0]
    )
    report = shown.replace("### ❌", "## ❌").replace("#### ", "### ")
    assert harmless(report) == report
    assert_harmless(report)
