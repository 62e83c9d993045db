"""What other people get of a retraining: its data, its commit on a branch, a tag of a new champion, a pull request."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from champion.core.errors import ConflictError, UserError
from champion.core.values import finite
from champion.registry.versions import Version
from champion.report.comment import GitHub
from champion.repository import git, transfer
from champion.repository.worktree import COMMITTER, find_worktrees
from champion.retraining.run import branch_of

ORIGIN = "origin"
BASE = "main"
# The variables of GitHub Actions.
GITHUB = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN")


def publish(work: Path, branch: str) -> None:
    """Send the outputs to the DVC remote, then the branch to `origin`. Raises `UserError` when either fails."""
    transfer.push(work, verify=False)
    # An older result of the same date may be replaced, but nothing that came since `extract` looked.
    git.answer(work, "push", "--quiet", "--force-with-lease", ORIGIN, f"HEAD:refs/heads/{branch}")


def refuse_others(root: Path, branch: str, base: str) -> None:
    """Raise `ConflictError` when the branch, here or at `origin`, is not only a retraining's, which may replace it."""
    if f"refs/heads/{branch}" in find_worktrees(root).values():
        raise ConflictError(f"{branch} is checked out, but a retraining makes it anew. Check out another branch.")
    for name in (f"refs/heads/{branch}", f"refs/remotes/{ORIGIN}/{branch}"):
        if git.commit_of(root, name) is None:
            continue
        committers = git.answer(root, "log", "--format=%ce", name, "--not", base).decode().split()
        if any(committer != COMMITTER["EMAIL"] for committer in committers):
            raise ConflictError(
                f"{name} has commits of somebody, which a retraining would replace. Merge them, or rename the branch."
            )


def tag_of(environment: str, version: str) -> str:
    """The tag of the commit that made a champion, so that its outputs can be made again."""
    return f"champion/{environment}/{version}"


def add_tag(root: Path, tag: str, commit: str, *, public: bool) -> None:
    """Name the commit by the tag, at `origin` too if `public`."""
    git.answer(root, "tag", "--no-sign", "--force", tag, commit)
    if public:
        git.answer(root, "push", "--quiet", "--force", ORIGIN, f"refs/tags/{tag}")


def delete_branch(root: Path, branch: str, *, public: bool) -> None:
    """Delete the branch, at `origin` too if `public`. One that does not exist is deleted already."""
    git.ask(root, "branch", "--quiet", "-D", branch)
    if public and git.answer(root, "ls-remote", "--heads", ORIGIN, f"refs/heads/{branch}"):
        git.answer(root, "push", "--quiet", ORIGIN, "--delete", f"refs/heads/{branch}")


def propose(version: Version, environment: str, variables: Mapping[str, str] = os.environ) -> str | None:
    """Open a pull request of the branch that made the version, unless there is one. Returns its address.

    Returns None if GitHub has no such branch, as of a version that no retraining made. The variables are those of
    GitHub Actions. Raises `UserError` when one is missing, or GitHub refuses.
    """
    missing = [name for name in GITHUB if not variables.get(name)]
    if missing:
        raise UserError(f"the environment variable {missing[0]} is not set, so no pull request can be opened. Set it.")
    github = GitHub(*(variables[name] for name in GITHUB))
    branch = branch_of(str(version.params.get("as_of")))
    owner = github.repository.partition("/")[0]
    known = next(github.all(f"/pulls?state=open&head={owner}:{branch}&base={BASE}"), None)
    if known is None:
        if not any(one["ref"] == f"refs/heads/{branch}" for one in github.all(f"/git/matching-refs/heads/{branch}")):
            return None
        known = github.call("POST", "/pulls", _described(version, environment, branch))
    return str(known["html_url"])


def _described(version: Version, environment: str, branch: str) -> dict[str, Any]:
    values = {name: finite(version.metrics.get(name)) for name in ("roc_auc", "brier_skill")}
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in values.items() if value is not None)
    return {
        "title": f"Retrained as of {version.params.get('as_of')}: {version.name} is the champion",
        "body": (
            f"{version.name} won its challenge and is deployed to {environment}. This brings its `as_of`, dvc.lock and "
            f"metrics to {BASE}.\n\nIts test: {metrics}. The commit {version.git_commit} made it; "
            f"`champion reproduce {version.name}` makes it again."
        ),
        "head": branch,
        "base": BASE,
    }
