"""A second working tree of the repository, with the same DVC cache."""

import shutil
from datetime import date
from pathlib import Path

from dvc.config import Config

from champion.repository import git
from champion.repository.process import dvc, run

# Who commits: with the date of the data and nothing of this machine, the same result is the same commit everywhere.
COMMITTER = {"NAME": "champion", "EMAIL": "champion@noreply.invalid"}


def make_worktree(root: Path, folder: Path, commit: str) -> None:
    """Check out the commit in the folder, without a branch, with those of its data that DVC's cache has.

    What the folder was before is gone.
    """
    remove_worktree(root, folder)
    git.answer(root, "worktree", "add", "--quiet", "--detach", str(folder), commit)
    local = Path(".dvc/config.local")
    if (root / local).exists():
        shutil.copy(root / local, folder / local)
    cache = Config(str(root / ".dvc"))["cache"].get("dir") or root / ".dvc/cache"
    with Config(str(folder / ".dvc")).edit("local") as settings:
        settings["cache"]["dir"] = str(Path(cache).resolve())
        # Nobody needs the advice to add dvc.lock.
        settings["core"]["autostage"] = True
    # Without its outputs in place, DVC would run a stage again that has not changed.
    run([dvc(), "checkout", "--quiet", "--allow-missing"], folder)


def remove_worktree(root: Path, folder: Path) -> None:
    """Remove the working tree, even if it is damaged or was never complete. Its branch stays."""
    shutil.rmtree(folder, ignore_errors=True)
    # `git worktree prune` would also forget those of the user that are on a disk which is not here now.
    git.ask(root, "worktree", "remove", "--force", "--force", str(folder))


def find_worktrees(root: Path) -> dict[Path, str | None]:
    """The branch of each working tree that git knows, even if its folder is gone; None without a branch."""
    found: dict[Path, str | None] = {}
    for entry in git.answer(root, "worktree", "list", "--porcelain").decode().strip().split("\n\n"):
        lines = dict(line.partition(" ")[::2] for line in entry.splitlines())
        found[Path(lines["worktree"]).resolve()] = lines.get("branch")
    return found


def commit_worktree(folder: Path, message: str, day: date) -> str:
    """Commit every change, if there is one, as of the day. Returns the hash of the commit that is checked out then."""
    git.answer(folder, "add", "--all")
    if not git.is_clean(folder):
        when = f"{day}T00:00:00Z"
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in COMMITTER.items()}
        dates = {f"GIT_{role}_DATE": when for role in ("AUTHOR", "COMMITTER")}
        # A hook could change the message, and a signature the commit.
        settings = ["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]
        command = ["git", *settings, "commit", "--quiet", "--message", message]
        run(command, folder, environment=who | dates)
    return git.answer(folder, "rev-parse", "HEAD").decode().strip()
