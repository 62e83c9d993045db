"""The page of `champion drift --html`: it works offline, shows all bins, and hostile text stays text."""

from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import pytest

from champion.model.distribution import ColumnReference
from champion.monitoring.drift import measure_drift
from champion.monitoring.joint import JointDrift
from champion.monitoring.page import render
from champion.params import Monitoring

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "<script>document.title = 'owned'</script>{{ 7*7 }}"
BEFORE = pl.DataFrame({HOSTILE: [HOSTILE, "b"] * 100})
REFERENCE: dict[str, Any] = {
    "rows": 200,
    "features": {HOSTILE: {"type": "category", **ColumnReference.of(BEFORE[HOSTILE]).describe()}},
    "score": None,
}


class Tags(HTMLParser):
    """The tags, addresses and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def page_of(now: pl.DataFrame, **params: Any) -> str:
    joint = JointDrift(200, 200, 0.9, 0.8, 0.95, {HOSTILE: 0.4})
    drift = measure_drift(REFERENCE, [HOSTILE, "<b>new</b>"], [now], Monitoring(min_rows=100, **params))
    return render(HOSTILE, HOSTILE, drift, joint, None)


def test_a_page_shows_hostile_text_as_text_and_needs_no_other_file() -> None:
    tags = Tags(page_of(BEFORE))
    assert tags.names & {"script", "b", "img", "link", "iframe"} == set()
    assert tags.attributes & {"src", "href", "onload", "onerror", "style"} == set()
    assert tags.texts.count(HOSTILE) >= 4
    assert "<b>new</b>: the version's drift reference does not have it" in tags.texts


def test_a_page_has_the_shares_of_each_bin_before_and_now() -> None:
    page = page_of(pl.DataFrame({HOSTILE: [HOSTILE, None, "c", "c"] * 100}))
    texts = [text for text in Tags(page).texts if text]
    first = texts.index("picture (0 to 100% of rows): before above, now below") + 1
    assert texts[first : first + 12] == [
        HOSTILE, "50.0%", "25.0%", "b", "50.0%", "0.0%", "(others)", "0.0%", "50.0%", "(missing)", "0.0%", "25.0%",
    ]  # fmt: skip
    assert '<rect class="now" y="55%" height="35%" width="25.00%"/>' in page
    assert "50.0% new" in texts
    assert "<details open>" in page


@pytest.mark.parametrize("now", [BEFORE[:10], BEFORE[:0]])
def test_a_page_of_few_rows_says_that_there_is_no_verdict(now: pl.DataFrame) -> None:
    texts = Tags(page_of(now)).texts
    assert "no verdict" in texts
    assert any(text.startswith("no verdict: there are") for text in texts)


def test_everybody_can_read_the_page(browser: "Browser", tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "drift.html"
    path.write_text(page_of(pl.DataFrame({HOSTILE: [HOSTILE, None, "c", "c"] * 100})), encoding="utf-8")
    page, mistakes = browser.new_page(), []
    page.on("console", lambda message: mistakes.append(message.text))
    page.goto(path.as_uri())
    schemes: list[Literal["light", "dark"]] = ["light", "dark"]
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.response["violations"] == [], found.generate_report()
        assert len(found.response["passes"]) > 15
    assert (page.title(), mistakes) == (HOSTILE, [])
