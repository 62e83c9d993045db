"""Taking a later release of Champion into a repository that was made from an earlier one."""

from pathlib import Path
from typing import NamedTuple

from champion.core.errors import UserError
from champion.core.layout import LOCK, METRICS, PARAMS
from champion.repository import git

# What a team changes in its clone. The rest is Champion's.
TEAM = (
    ".dvc/config",
    ".github/dependabot.yml",
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "README.md",
    "config",
    "data",
    "own",
    "replay/dvc.lock",
    "replay/params.yaml",
    "replay/results",
    str(LOCK),
    str(METRICS),
    str(PARAMS),
)


class Merged(NamedTuple):
    """What a merge kept and left: paths relative to the repository."""

    # The commit that both have in common.
    start: str
    # The team's files that the release changed too: they are as they were.
    kept: list[str]
    # Other files that both changed in the same place: a person must resolve them and commit.
    conflicts: list[str]


def take_release(root: Path, release: str) -> Merged:
    """Merge a release, a tag or commit that git has here, and commit it if nothing is in conflict.

    A file of `TEAM` that the team changed, added or deleted stays as it is. One that it never touched comes from the
    release. Raises `UserError`, and changes nothing, when there are uncommitted changes, no such release, no common
    commit, or nothing to take in.
    """
    commit = git.commit_of(root, release)
    if commit is None:
        raise UserError(f"git has no release {release} here. `git fetch champion --tags` fetches all of them.")
    if not git.is_clean(root) or git.commit_of(root, "MERGE_HEAD"):
        raise UserError("there are uncommitted changes. Commit them, or put them away with `git stash`.")
    base = git.ask(root, "merge-base", "HEAD", commit)
    if base.returncode:
        raise UserError(
            f"this repository has no commit in common with {release}. Tell git once which release it was made from: "
            "`git merge -s ours --allow-unrelated-histories RELEASE`, which changes no file."
        )
    start = base.stdout.decode().strip()
    if start == commit:
        raise UserError(f"{release} is in this repository already.")
    git.answer(root, "var", "GIT_COMMITTER_IDENT")
    ours, theirs = (_team_files(root, start, end) for end in ("HEAD", commit))
    merge = git.ask(root, "merge", "--no-commit", "--no-ff", "--quiet", commit)
    if not git.commit_of(root, "MERGE_HEAD"):
        lines = merge.stderr.decode(errors="replace").split("\n")
        raise UserError(f"`git merge {release}` failed: {lines[0].removeprefix('error: ')}")
    _restore(root, ours)
    conflicts = git.changed_files(root, "--diff-filter=U")
    if not conflicts:
        git.answer(root, "commit", "--quiet", "--no-verify", "--message", f"Take in Champion {release}")
    return Merged(start, sorted(set(ours) & set(theirs)), conflicts)


def _team_files(root: Path, start: str, end: str) -> list[str]:
    """The team's files that differ between two commits."""
    return git.changed_files(root, "--no-renames", start, end, "--", *TEAM)


def _restore(root: Path, paths: list[str]) -> None:
    """Give the files their content of HEAD, where some may not exist."""
    if not paths:
        return
    listed = git.answer(root, "ls-tree", "-r", "-z", "--name-only", "HEAD", "--", *paths).decode().split("\0")[:-1]
    if listed:
        git.answer(root, "checkout", "--quiet", "HEAD", "--", *listed)
    if gone := sorted(set(paths) - set(listed)):
        git.answer(root, "rm", "--quiet", "--force", "--ignore-unmatch", "--", *gone)
