"""One comment per pull request, updated in place: a trusted job posts the report of an untrusted run.

This module uses only the standard library, because the job that may write to pull requests installs nothing. It makes
the report harmless, and finds the pull request only with GitHub's own data about the run.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from champion.core.endings import one_line_errors
from champion.core.errors import UserError
from champion.report.harmless import harmless

MARKER = "<!-- champion: the report on this pull request -->"
AUTHOR = "github-actions[bot]"
LONGEST = 65_536
PAGE = 100


@dataclass(frozen=True)
class GitHub:
    """GitHub's REST API for one repository, with the job's token."""

    url: str
    repository: str
    token: str

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer's JSON. Raises `UserError` with GitHub's reason when it refuses or cannot be reached."""
        if not self.url.startswith(("https://", "http://127.0.0.1:")):
            raise UserError(f"GITHUB_API_URL: {self.url!r} is not an https address, so the token is not sent there.")
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked above
            f"{self.url}/repos/{self.repository}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                reason = error.read(500).decode(errors="replace")
            raise UserError(f"GitHub answered {error.code} to {method} {path}: {' '.join(reason.split())}.") from None
        except OSError as error:
            raise UserError(f"GitHub cannot be reached at {self.url}: {error}.") from None

    def all(self, path: str) -> Iterator[dict[str, Any]]:
        """Every item of a list that GitHub returns in pages."""
        separator = "&" if "?" in path else "?"
        page = 1
        while True:
            items = self.call("GET", f"{path}{separator}per_page={PAGE}&page={page}")
            yield from items
            if len(items) < PAGE:
                return
            page += 1


def pull_requests_of(github: GitHub, run: Mapping[str, Any]) -> list[int]:
    """The numbers of the open pull requests whose newest commit is the commit of the run.

    They are found by the owner and branch of the head, or only by the commit if the fork was deleted.
    """
    sha, branch = run["head_sha"], run.get("head_branch")
    owner = ((run.get("head_repository") or {}).get("owner") or {}).get("login")
    if owner and branch:
        found = github.all(f"/pulls?state=open&head={quote(f'{owner}:{branch}', safe='')}")
    else:
        found = github.all(f"/commits/{quote(sha, safe='')}/pulls")
    return [pull["number"] for pull in found if pull["state"] == "open" and pull["head"]["sha"] == sha]


def comment_body(report: str | None, run: Mapping[str, Any], pulls: Sequence[int]) -> str:
    """The comment on each of the pull requests: the report, or a note why there is none, with a link to the run.

    There is always one, because otherwise the comment on an older commit would stay.
    """
    link = f"[run {int(run['run_number'])}]({run['html_url']}) of {run['head_sha'][:12]}"
    if len(pulls) > 1:
        listed = ", ".join(f"#{number}" for number in pulls)
        return _without_report(
            f"A report has one base, but {link} is of {listed}. Close all but one, then run it again."
        )
    if report is None:
        return _without_report(f"The pipeline ended without a report in a text file; {link} says why.")
    body = f"{MARKER}\n{harmless(report).rstrip()}\n\n<sub>Written by the code of this pull request, in {link}.</sub>\n"
    if len(body) > LONGEST:
        return _without_report(f"The report is too long for a comment; {link} has it.")
    return body


def _without_report(why: str) -> str:
    return f"{MARKER}\n## ❌ Model: no report\n\n{why}\n"


def upsert(github: GitHub, number: int, body: str) -> str:
    """Overwrite our own marked comment, or create one; returns `updated` or `created`.

    It never uses another person's comment with the marker, because that person could edit it later.
    """
    for comment in github.all(f"/issues/{number}/comments"):
        if (comment.get("user") or {}).get("login") == AUTHOR and (comment.get("body") or "").startswith(MARKER):
            github.call("PATCH", f"/issues/comments/{comment['id']}", {"body": body})
            return "updated"
    github.call("POST", f"/issues/{number}/comments", {"body": body})
    return "created"


def read_report(path: Path) -> str | None:
    """The report's text, or as much of it as is too long for a comment; None if there is no plain file."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        # A character has at most four bytes.
        return file.read(4 * LONGEST + 1).decode(errors="replace")


def main(report: Path) -> None:
    """Post the report for the `workflow_run` event that GitHub Actions describes in the environment."""
    run = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))["workflow_run"]
    github = GitHub(os.environ["GITHUB_API_URL"], os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"])
    pulls = pull_requests_of(github, run)
    if not pulls:
        print(f"no open pull request has {run['head_sha']} as its newest commit: nothing to comment on")
        return
    body = comment_body(read_report(report), run, pulls)
    for number in pulls:
        print(f"{upsert(github, number, body)} the comment on #{number}")


if __name__ == "__main__":
    with one_line_errors():
        main(Path(sys.argv[1]))
