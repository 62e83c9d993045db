"""Calls of git: commits, differences, files of a revision, and clones."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from champion.core.errors import UserError


def ask(root: Path, *arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run git in the folder with the input `given`. A failure raises nothing."""
    return subprocess.run(["git", *arguments], cwd=root, input=given, capture_output=True, check=False)


def answer(root: Path, *arguments: str, given: bytes | None = None) -> bytes:
    """The output of git. Raises `UserError` with git's own reason when it fails."""
    result = ask(root, *arguments, given=given)
    if result.returncode:
        lines = result.stderr.decode(errors="replace").splitlines() or ["it gave no reason"]
        reason = next((line for line in lines if line.startswith(("fatal", "error"))), lines[-1])
        raise UserError(f"`git {arguments[0]}` failed: {reason.strip()}")
    return result.stdout


def commit_of(root: Path, name: str) -> str | None:
    """The hash of the commit that a branch, tag, reference or hash names; None when there is no such commit."""
    try:
        found = ask(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except OSError:
        return None
    return found.stdout.decode().strip() if found.returncode == 0 else None


def head_commit(root: Path) -> str | None:
    """The hash of the checked-out commit; None outside a git repository or before the first commit."""
    return commit_of(root, "HEAD")


def has_reference(root: Path, pattern: str) -> bool:
    """Whether a reference matches the pattern, such as `refs/exps/*/*/NAME`."""
    return bool(ask(root, "for-each-ref", "--format=%(refname)", pattern).stdout)


def is_clean(root: Path) -> bool:
    """Whether every tracked file is unchanged since the commit; untracked files do not count."""
    return not answer(root, "status", "--porcelain", "--untracked-files=no")


def uncommitted_files(root: Path, *paths: Path) -> list[str]:
    """The files under the paths that differ from the commit, including untracked files."""
    listed = answer(
        root, "status", "--porcelain", "--untracked-files=all", "-z", "--no-renames", "--", *map(str, paths)
    )
    return [line[3:] for line in listed.decode().split("\0") if line]


def changed_files(root: Path, *options: str) -> list[str]:
    """The files of a `git diff` with these options, relative to the folder."""
    return answer(root, "diff", "--name-only", "--relative", "-z", *options).decode().split("\0")[:-1]


def untracked_files(root: Path) -> list[str]:
    """The files that git neither tracks nor ignores."""
    listed = answer(root, "ls-files", "--others", "--exclude-standard", "-z").decode().split("\0")
    return [name for name in listed if name]


def read_file(root: Path, commit: str, path: str) -> bytes | None:
    """A file of a commit; None when the commit has no such file."""
    shown = ask(root, "show", f"{commit}:./{path}")
    return shown.stdout if shown.returncode == 0 else None


@contextmanager
def clone_at(root: Path, commit: str = "HEAD") -> Iterator[Path]:
    """A clone of the repository at a commit that it has, in a temporary folder, without its data."""
    with tempfile.TemporaryDirectory(prefix="champion-") as folder:
        clone = Path(folder) / "clone"
        answer(root, "clone", "--quiet", "--no-hardlinks", str(root.resolve()), str(clone))
        if commit != "HEAD":
            answer(clone, "checkout", "--quiet", "--detach", commit)
        yield clone
