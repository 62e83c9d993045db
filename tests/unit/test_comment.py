"""The report is posted to the right pull request, once, and only as text."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.report import comment
from champion.report.comment import MARKER, GitHub, comment_body, pull_requests_of, read_report, upsert
from support.github_api import BOT, Hub, serving

SHA = "a" * 40
RUN = {
    "head_sha": SHA,
    "head_branch": "feature",
    "head_repository": {"owner": {"login": "stranger"}},
    "run_number": 12,
    "html_url": "https://github.example/runs/12",
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub()) as running:
        yield running


@pytest.fixture
def github(hub: Hub) -> GitHub:
    return GitHub(hub.url, hub.repository, "token")


def test_the_pull_request_is_found_by_the_heads_owner_and_branch(hub: Hub, github: GitHub) -> None:
    hub.open(1, head="o:feature", sha=SHA)
    hub.open(2, head="stranger:feature", sha=SHA)
    assert pull_requests_of(github, RUN) == [2]


def test_a_branch_with_any_name_is_found(hub: Hub, github: GitHub) -> None:
    branch = "a&state=closed#?/ü$(x)"
    hub.open(3, head=f"stranger:{branch}", sha=SHA)
    assert pull_requests_of(github, RUN | {"head_branch": branch}) == [3]


def test_a_fork_that_is_gone_is_found_by_its_commit(hub: Hub, github: GitHub) -> None:
    hub.open(4, head="ghost:feature", sha=SHA)
    assert pull_requests_of(github, RUN | {"head_repository": None}) == [4]


def test_a_pull_request_that_has_moved_on_gets_no_old_report(hub: Hub, github: GitHub) -> None:
    hub.open(5, head="stranger:feature", sha="b" * 40)
    assert pull_requests_of(github, RUN) == []


def test_one_comment_is_created_then_updated(hub: Hub, github: GitHub) -> None:
    for number in range(150):
        hub.say(1, "someone", f"comment {number}")
    assert upsert(github, 1, f"{MARKER}\nfirst") == "created"
    hub.say(1, "someone", "after")
    assert upsert(github, 1, f"{MARKER}\nsecond") == "updated"
    assert [c["body"] for c in hub.comments if c["user"]["login"] == BOT] == [f"{MARKER}\nsecond"]


def test_a_marker_in_someone_elses_comment_is_not_ours(hub: Hub, github: GitHub) -> None:
    hub.say(1, "stranger", f"{MARKER}\nforged")
    assert upsert(github, 1, f"{MARKER}\nreal") == "created"
    assert hub.comments[0]["body"] == f"{MARKER}\nforged"


def test_a_report_can_neither_notify_nor_hide_nor_forge_the_marker() -> None:
    body = comment_body(f"{MARKER} @everyone &#64;a &#064;b &#x40;c &#X40;d &commat;e <!-- hidden", RUN, [1])
    assert body.count("@\N{ZERO WIDTH SPACE}") == body.count("@") == 6
    assert not re.search("&(#x?0*(64|40)|commat);", html.unescape(body) + body, re.IGNORECASE)
    assert body.count("<!--") == 1
    assert body.startswith(MARKER)
    assert f"[run 12](https://github.example/runs/12) of {SHA[:12]}" in body


def test_a_report_that_is_a_link_or_a_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    link = tmp_path / "report.md"
    link.symlink_to(tmp_path / "secret")
    assert read_report(link) is None
    assert read_report(tmp_path) is None
    assert read_report(tmp_path / "none") is None


def test_bad_bytes_in_a_report_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_bytes(b"a\xff")
    assert read_report(tmp_path / "report.md") == "a\N{REPLACEMENT CHARACTER}"


def test_a_refusal_is_told_with_githubs_words(hub: Hub) -> None:
    with pytest.raises(UserError, match=r"GitHub answered 401 to GET /pulls.*Requires authentication"):
        pull_requests_of(GitHub(hub.url, hub.repository, ""), RUN)


def test_a_github_that_is_down_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"GitHub cannot be reached at http://127\.0\.0\.1:9"):
        pull_requests_of(GitHub("http://127.0.0.1:9", "o/r", "token"), RUN)


def test_the_token_goes_to_no_other_address() -> None:
    with pytest.raises(UserError, match="is not an https address"):
        GitHub("http://example.org", "o/r", "token").call("GET", "/pulls")


@pytest.fixture
def report(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "event.json").write_text(json.dumps({"workflow_run": RUN}))
    for name, value in {"EVENT_PATH": str(tmp_path / "event.json"), "API_URL": hub.url, "TOKEN": "t"}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    monkeypatch.setenv("GITHUB_REPOSITORY", hub.repository)
    return tmp_path / "report.md"


def test_nothing_is_posted_when_no_pull_request_is_open(
    hub: Hub, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    comment.main(report)
    assert "nothing to comment on" in capsys.readouterr().out
    assert not hub.comments


@pytest.mark.parametrize("text", ["x" * 70_000, "<" * 20_000, "x" * 3_000_000, "\N{GRINNING FACE}" * 65_537])
def test_a_report_too_long_for_a_comment_replaces_the_one_of_before(text: str, hub: Hub, report: Path) -> None:
    hub.open(1, head="stranger:feature", sha=SHA)
    hub.say(1, BOT, f"{MARKER}\ngood numbers")
    report.write_text(text, encoding="utf-8")
    comment.main(report)
    assert [c["body"] for c in hub.comments] == [
        f"{MARKER}\n## ❌ Model: no report\n\nThe report is too long for a comment; "
        f"[run 12](https://github.example/runs/12) of {SHA[:12]} has it.\n"
    ]


def test_a_report_that_is_no_plain_file_replaces_the_one_of_before(hub: Hub, report: Path) -> None:
    hub.open(1, head="stranger:feature", sha=SHA)
    hub.say(1, BOT, f"{MARKER}\ngood numbers")
    report.mkdir()
    comment.main(report)
    assert "without a report in a text file" in hub.comments[0]["body"]


def test_a_head_of_two_pull_requests_leaves_no_old_report_on_either(hub: Hub, report: Path) -> None:
    for number, base in ((6, "main"), (7, "other")):
        hub.open(number, head="stranger:feature", sha=SHA, base=base)
    hub.say(6, BOT, f"{MARKER}\ngood numbers")
    report.write_text("new numbers")
    comment.main(report)
    said = [c["body"] for c in hub.comments]
    assert len(said) == 2
    assert all("is of #6, #7. Close all but one" in one and "numbers" not in one for one in said)
