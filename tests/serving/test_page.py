"""The page of a server in a real browser: what it shows, to whom, and that everybody can read it."""

import asyncio
import base64
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import sqlalchemy as sa

from champion.core.yaml_text import parse_yaml
from champion.delivery import rollout
from champion.delivery.observer import Observer, count_answers, measure_drifting, read_overview
from champion.serving import pages
from champion.serving.overview import FILE, Overview
from support.answers import Said, fill_log
from support.delivery import DeliveryProject, InState, project_in_state
from support.project import REPOSITORY
from support.serving import ROW, Server, await_true, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>{{ 7*7 }}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, results: Path, shared: Path) -> Iterator[DeliveryProject]:
    with pytest.MonkeyPatch.context() as patch:
        yield project_in_state("promoted, staged", tmp_path_factory.mktemp("page"), results, shared, patch)


@pytest.fixture(scope="module")
def server(project: DeliveryProject) -> Iterator[Server]:
    """A server with a rollout, hostile texts, outcomes of what it answered two years ago, and newer answers."""
    fill_log("production", recent_answers())
    with serving(project) as one:
        rollout.roll_out(project.production, "v2", 50.0, reason=HOSTILE)
        asked: list[str] = []

        def is_rolled_out() -> bool:
            asked.append(one.predict(user_id="u1")["version"])
            return asked[-1] == "v2"

        await_true(is_rolled_out)
        for number in range(40):
            rows = [ROW | {"region": HOSTILE, "income": place - 5} for place in range(10)]
            assert one.post(rows=rows, user_id=f"u{number}").status_code == 200
        with sa.create_engine(os.environ["CHAMPION_PREDICTIONS_URL"]).begin() as log:
            count = "SELECT count(*) FROM predictions WHERE request_id NOT LIKE 'r%'"
            moved = "UPDATE predictions SET time = '2024' || substr(time, 5) WHERE request_id NOT LIKE 'r%'"
            answered = "SELECT DISTINCT request_id FROM predictions WHERE request_id NOT LIKE 'r%'"
            await_true(lambda: log.scalar(sa.text(count)) == 400 + len(asked))
            log.execute(sa.text(moved))
            ids = list(log.scalars(sa.text(answered)))
        said = [{"request_id": its_id, "row": 9, "date": "2024-12-01"} for its_id in ids]
        assert one.say(outcomes=said, complete_through="2026-10-31").status_code == 202
        await_true(lambda: "Calibration shows" in look(one).text, 30)
        yield one


def recent_answers() -> list[Said]:
    """Answers of this month, and of two months ago: all of the same row. Their ids begin with `r`."""
    today = datetime.now(UTC).date()
    return [Said(today - timedelta(days=days)) for days in [1] * 500 + [61] * 499]


def look(server: Server, password: str | None = None) -> requests.Response:
    """The page as the person with this password gets it, by default with the valid key."""
    key = server.authorization.removeprefix("Bearer ") if password is None else password
    return requests.get(f"{server.url}/", auth=("anybody", key), timeout=10)


@pytest.fixture
def page(server: Server, browser: "Browser") -> "Iterator[Page]":
    """The page of the server in the browser, which must find no mistake in it."""
    page, mistakes = browser.new_page(), []
    page.on("console", lambda message: mistakes.append(message.text))
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.on("dialog", lambda dialog: mistakes.append(dialog.message))
    key = base64.b64encode(f"me:{server.authorization.removeprefix('Bearer ')}".encode()).decode()
    page.set_extra_http_headers({"Authorization": f"Basic {key}"})
    page.goto(f"{server.url}/")
    yield page
    assert mistakes == []


def section(page: "Page", title: str) -> str:
    """The text of the section with this title, on one line."""
    return " ".join(page.get_by_role("region", name=title, exact=True).inner_text().split())


def test_a_page_shows_what_is_served_and_what_came_of_it(page: "Page") -> None:
    assert page.get_by_role("heading", level=1).inner_text() == "production serves v1"
    environments = section(page, "Environments")
    assert "staging v2 since 20" in environments
    assert "50% to v2 by new_model (ledger row 11)" in environments
    assert "champion v2" in environments
    assert "v2 against v1 won row 7" in section(page, "Champion against challenger")
    outcomes = section(page, "Outcomes by variant")
    assert "v2 by new_model:on" in outcomes
    counted = [(int(events), int(rows)) for events, rows in re.findall(r"(\d+) of (\d+)", outcomes)]
    # Of both variants, all rows and those that were not flagged.
    assert sum(events for events, _ in counted[::2]) == 40
    assert sum(rows for _, rows in counted[::2]) >= 400
    assert all(accepted[1] < all_rows[1] for all_rows, accepted in zip(counted[::2], counted[1::2], strict=True))
    assert "All events up to 2026-10-31 are known." in outcomes
    assert "Calibration shows" in section(page, "Calibration of v1")
    server = section(page, "This server")
    assert "half within" in server
    assert "rows answered by v2" in server
    assert "rollout v2 (from v1) 50% to v2 by new_model" in section(page, "Last changes, and who made them")


def test_a_page_has_pictures_with_the_words_and_baselines_of_the_plots(page: "Page") -> None:
    plots = parse_yaml((REPOSITORY / "dvc.yaml").read_text())["stages"]["evaluate"]["plots"]
    titles = {Path(name).stem: plot["title"] for entry in plots for name, plot in entry.items()}
    worth, calibration = section(page, "What v1 was worth, and what came true"), section(page, "Calibration of v1")
    assert titles["rehearsals"] in worth
    assert titles["calibration"] in calibration
    assert "The dashed line is chance, 0.5." in worth
    pictures = page.get_by_role("region", name="What v1 was worth, and what came true", exact=True)
    assert pictures.locator("line.zero").count() == pictures.locator("tbody tr").count() > 0
    assert "0.5" in pictures.locator(".axis text").all_text_contents()
    axis = page.get_by_role("region", name="Calibration of v1", exact=True).locator(".axis text").all_text_contents()
    assert axis[0] == "0%"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.49, 0.81, [0.5, 0.6, 0.7, 0.8]),
        (-0.012, 0.021, [-0.01, 0.0, 0.01, 0.02]),
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_an_axis_has_few_round_values(low: float, high: float, ticks: list[float]) -> None:
    assert pages.Scale(low, high).ticks() == ticks


def test_a_page_shows_drift_over_time(page: "Page") -> None:
    assert "Of fewer than 500 rows, nothing is said." in section(page, "Drift of what v1 answered")
    table = page.get_by_role("region", name="Table of drift over time")
    rows = [row.inner_text().split("\t") for row in table.get_by_role("row").all()]
    assert len(rows[0]) == 13
    assert rows[1] == ["rows", "500", "0", "499", *["0"] * 9]
    assert {row[0] for row in rows[2:]} == {"(score)", "income", "age", "noise", "region"}
    assert rows[2][0] == "(score)"
    # All answers were of one row.
    for row in rows[2:]:
        assert re.fullmatch(r"\d+\.\d\d moved far", row[1])
        assert row[2:] == ["–"] * 11
    assert table.locator(".moved-far").count() == 5


def test_a_page_shows_hostile_text_as_text(page: "Page", server: Server) -> None:
    assert page.title() == "production serves v1 · Champion"
    assert HOSTILE in page.get_by_role("region", name="Last changes, and who made them", exact=True).inner_text()
    assert page.locator("script, img").count() == 0
    # What users sent is not on the page.
    assert look(server).text.count("owned") == 1
    policy = look(server).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1100])
def test_a_page_can_be_read_by_everybody(page: "Page", scheme: Any, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    found = Axe().run(page)
    assert found.response["violations"] == [], found.generate_report()
    assert len(found.response["passes"]) > 20
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_page_can_be_used_with_the_keyboard(page: "Page") -> None:
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.inner_text() == "Skip to the content"
    assert focused.is_visible()
    reached = set()
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.text"))
    tables = {"Table of drift over time", "Table of the last changes"}
    assert reached == {"The API", "metrics for Prometheus", *tables}


def test_a_page_is_only_for_who_has_a_key(server: Server) -> None:
    for refused in (
        requests.get(f"{server.url}/", timeout=10),
        requests.get(f"{server.url}/", headers={"Authorization": server.authorization}, timeout=10),
        requests.get(f"{server.url}/", headers={"Authorization": "Basic %%%"}, timeout=10),
        requests.get(f"{server.url}/", headers={"Authorization": "Basic"}, timeout=10),
        look(server, "wrong"),
        look(server, ""),
    ):
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == 'Basic realm="Champion", charset="UTF-8"'
        assert "production" not in refused.text
    assert look(server).status_code == 200
    assert requests.post(f"{server.url}/", timeout=10).status_code == 405
    # What a browser knows for the page is no key for the API.
    asked = requests.get(
        f"{server.url}/v1/model", auth=("me", server.authorization.removeprefix("Bearer ")), timeout=10
    )
    assert asked.status_code == 401


def test_a_page_of_the_api_opens_without_a_mistake(server: Server, browser: "Browser") -> None:
    page, mistakes = browser.new_page(), []
    page.on("console", lambda message: mistakes.append(message.text))
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.goto(f"{server.url}/docs")
    page.get_by_text("/v1/predict").first.click()
    page.get_by_text("Try it out").first.wait_for()
    assert mistakes == []


@pytest.mark.sweep
def test_a_page_says_while_the_record_cannot_be_read(in_state: InState) -> None:
    project = in_state("promoted")
    ledger = Path(os.environ["CHAMPION_DATABASE_URL"].removeprefix("sqlite:///"))
    with serving(project) as server:
        await_true(lambda: "Nothing was answered yet." in look(server).text, 30)
        assert "What is wrong now" not in look(server).text
        ledger.rename(ledger.with_suffix(".away"))
        ledger.write_bytes(b"no database")
        await_true(lambda: "the record cannot be read: the database of production" in look(server).text, 30)
        assert "Nothing was answered yet." in look(server).text
        ledger.unlink()
        ledger.with_suffix(".away").rename(ledger)
        await_true(lambda: "What is wrong now" not in look(server).text, 30)


@pytest.mark.parametrize("metrics", [{}, {"after": {"first": "", "last": "", "metrics": {"roc_auc": "high"}}}])
def test_a_page_says_that_the_ledger_has_a_row_that_it_cannot_show(in_state: InState, metrics: dict[str, Any]) -> None:
    promoted = in_state("promoted")
    with promoted.production.ledger.appending() as session:
        session.append("realised", version="v1", details=metrics)

    async def observe() -> Overview:
        observer = Observer(lambda: promoted.production, promoted.root, lambda: ["the store is down"])
        observer.begin()
        while not (promoted.root / FILE).exists():
            await asyncio.sleep(0.05)
        observer.end()
        return Overview.read(promoted.root)

    # The browser's event loop runs in this thread.
    with ThreadPoolExecutor(1) as pool:
        overview = pool.submit(asyncio.run, observe()).result()
    assert overview.time is None
    store, record = overview.troubles
    assert store == "the store is down"
    assert "the record cannot be read: an unexpected" in record


def test_a_page_is_made_once_for_many_viewers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(pages, "measure", lambda: None)
    monkeypatch.setattr(pages, "render", lambda *_: made.append("page") or str(len(made)))
    for seconds, expected in ((3600, ["1", "1"]), (0, ["2", "3"])):
        monkeypatch.setattr(pages, "FRESH_SECONDS", seconds)
        page = pages.Page(tmp_path)
        assert [page.show(model=None) for _ in range(2)] == expected


def test_an_overview_has_what_was_worth_and_came_true(in_state: InState) -> None:
    promoted = in_state("promoted")
    with promoted.production.ledger.appending() as session:
        metrics = {"roc_auc": 0.7, "roc_auc_low": 0.6, "roc_auc_high": 0.8}
        after = {"first": "2021-01-01", "last": "2021-12-31", "metrics": metrics}
        session.append("realised", version="v1", details={"after": after})
    answers, overview = count_answers(promoted.production), read_overview(promoted.production)
    assert overview.live is not None
    assert overview.live.test is not None
    assert overview.live.test.low is not None
    (realised,) = overview.live.realised
    assert (realised.rows, realised.roc_auc.value) == ("came true, 2021-01-01 to 2021-12-31", 0.7)
    assert answers is not None
    assert answers.variants == []
    overview.write(promoted.root)
    assert Overview.read(promoted.root) == overview


def test_a_drift_over_time_is_that_of_what_the_live_version_answered(in_state: InState) -> None:
    promoted, today = in_state("promoted"), datetime.now(UTC).date()
    answers = [Said(today - timedelta(days=days), version=name) for name in ("v1", "v0") for days in (0, 30, 359, 360)]
    fill_log("production", answers * 500)
    found = measure_drifting(promoted.production, lambda: False)
    assert found is not None
    assert [one.rows for one in found.periods] == [500, *[0] * 9, 500, 500]
    assert found.periods[-1].last == today.isoformat()
    assert found.columns[0] == "(score)"
    assert {name: psi is None for name, psi in found.periods[1].psi.items()} == dict.fromkeys(found.columns, True)
    assert all(psi is not None and psi > 0.25 for psi in found.periods[-1].psi.values())
    ended = measure_drifting(promoted.production, lambda: True)
    assert ended is not None
    assert [one.rows for one in ended.periods] == [0] * 12


@pytest.mark.sweep
def test_a_page_says_that_nothing_was_answered_that_could_drift(in_state: InState) -> None:
    with serving(in_state("promoted")) as server:
        await_true(lambda: "Drift of what v1 answered" in look(server).text, 30)
        assert re.search(r"Since 20\d\d-\d\d-\d\d it answered nothing, as of 20", look(server).text)


@pytest.mark.sweep
def test_a_page_says_while_drift_cannot_be_measured(in_state: InState) -> None:
    promoted = in_state("promoted")
    params = promoted.root / "params.yaml"
    valid = params.read_text()
    params.write_text(valid.replace('"challenge"', '"monitoring": {"window": "soon"}, "challenge"'))
    with serving(promoted) as server:
        await_true(lambda: "the drift of the answers cannot be measured: params.yaml" in look(server).text, 30)
        assert "It was not measured yet." in look(server).text
        params.write_text(valid)
        await_true(lambda: "it answered nothing" in look(server).text, 30)
        await_true(lambda: "cannot be measured" not in look(server).text, 30)
