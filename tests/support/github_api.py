"""A stand-in, for tests, for the part of GitHub's REST API that the comment uses: real HTTP on a free local port.

The npm package `emulate` does the same and more, but would bring Node and an unhashed install into a locked Python
environment for four routes.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT = "github-actions[bot]"


@dataclass
class Hub:
    """One repository's open pull requests, comments and branches, and the requests that were made of it."""

    repository: str = "o/champion"
    url: str = ""
    pulls: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    branches: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, number: int, *, head: str, sha: str, base: str = "main") -> dict[str, Any]:
        """Open a pull request from `head`, such as `owner:branch`."""
        owner, _, branch = head.partition(":")
        pull = {
            "number": number,
            "state": "open",
            "base": {"ref": base},
            "head": {"label": head, "ref": branch, "sha": sha, "user": {"login": owner}},
        }
        self.pulls.append(pull)
        return pull

    def forget(self) -> None:
        """Remove all pull requests and comments."""
        self.pulls.clear()
        self.comments.clear()

    def say(self, number: int, login: str, body: str) -> dict[str, Any]:
        """Add a comment to a pull request."""
        comment = {"id": len(self.comments) + 1, "issue": number, "user": {"login": login}, "body": body}
        self.comments.append(comment)
        return comment

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Status and JSON of one request, as GitHub documents them."""
        prefix = re.escape(f"/repos/{self.repository}")
        routes: list[tuple[str, str, Callable[..., tuple[int, Any]]]] = [
            ("GET", "/pulls", lambda: (200, [pull for pull in self.pulls if self._matches(pull, query)])),
            ("POST", "/pulls", lambda: self._propose(body)),
            ("GET", "/git/matching-refs/heads/(.+)", lambda start: (200, self._refs(start))),
            (
                "GET",
                "/commits/([0-9a-f]+)/pulls",
                lambda sha: (200, [p for p in self.pulls if p["head"]["sha"] == sha]),
            ),
            ("GET", r"/issues/(\d+)/comments", lambda n: (200, [c for c in self.comments if c["issue"] == int(n)])),
            ("POST", r"/issues/(\d+)/comments", lambda n: self._create(int(n), body)),
            ("PATCH", r"/issues/comments/(\d+)", lambda n: self._update(int(n), body)),
        ]
        for verb, pattern, act in routes:
            if verb == method and (found := re.fullmatch(prefix + pattern, path)):
                status, content = act(*found.groups())
                if isinstance(content, list):
                    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
                    content = content[(page - 1) * size : page * size]
                return status, content
        return 404, {"message": "Not Found"}

    def _matches(self, pull: dict[str, Any], query: dict[str, str]) -> bool:
        return query.get("state", "open") in ("all", pull["state"]) and query.get("head") in (
            None,
            pull["head"]["label"],
        )

    def _propose(self, body: dict[str, str]) -> tuple[int, Any]:
        if body["head"] not in self.branches:
            return 422, {"message": "Validation Failed"}
        owner, number = self.repository.partition("/")[0], len(self.pulls) + 1
        pull = self.open(number, head=f"{owner}:{body['head']}", sha="0" * 40, base=body["base"])
        pull |= {"title": body["title"], "body": body["body"], "html_url": f"https://github.example/pull/{number}"}
        return 201, pull

    def _refs(self, start: str) -> list[dict[str, str]]:
        return [{"ref": f"refs/heads/{branch}"} for branch in self.branches if branch.startswith(start)]

    def _create(self, number: int, body: dict[str, str]) -> tuple[int, Any]:
        if len(body["body"]) > 65_536:
            return 422, {"message": "body is too long (maximum is 65536 characters)"}
        return 201, self.say(number, BOT, body["body"])

    def _update(self, number: int, body: dict[str, str]) -> tuple[int, Any]:
        if not 1 <= number <= len(self.comments):
            return 404, {"message": "Not Found"}
        self.comments[number - 1]["body"] = body["body"]
        return 200, self.comments[number - 1]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The API on a free port while the block runs; `hub.url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            hub.requests.append(f"{self.command} {self.path}")
            if self.headers.get("Authorization", "").removeprefix("Bearer "):
                status, content = hub.answer(self.command, parts.path, query, body)
            else:
                status, content = 401, {"message": "Requires authentication"}
            answer = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = _handle  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
