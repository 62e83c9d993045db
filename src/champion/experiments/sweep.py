"""A sweep: `dvc exp run` runs each parameter set in a clone, and tracking logs it. The user's own files never change.

The clone uses the user's DVC cache, and the experiments' git references are fetched from the clone. So `dvc exp show`,
`dvc exp apply` and other commands work as if the experiments had run in the user's repository.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from champion.core.errors import UserError
from champion.core.files import sha256_of
from champion.core.layout import EVALUATION
from champion.core.metrics_file import metrics_of, read_metrics
from champion.environments import Environment
from champion.experiments.parameter_sets import Set
from champion.repository import git
from champion.tracking.result import read_result
from champion.tracking.runs import is_tracked, track

LOGS = Path("reports/experiments")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one set: its experiment's name, whether it ran before, its metrics, or why it failed."""

    name: str
    assignments: Set
    before: bool = False
    metrics: dict[str, float] | None = None
    failure: str = ""


def run(environment: Environment, sets: Sequence[Set], begin: Callable[[str, Set], None]) -> Iterator[Outcome]:
    """Run each set, unless it already ran from this commit and these changes. Calls `begin` at the start of each set.

    If a set fails, its outcome says why, and the next set runs.
    """
    repository = environment.root
    head, changes = git.answer(repository, "rev-parse", "HEAD").decode().strip(), _changes(repository)
    with git.clone_at(repository) as clone:
        _prepare(repository, clone)
        for one in sets:
            name = _name(head, changes, one)
            begin(name, one)
            reference = f"refs/exps/{head[:2]}/{head[2:]}/{name}"
            before = git.commit_of(repository, reference) is not None
            if before and is_tracked(environment, name):
                yield Outcome(name, one, before, _metrics_at(repository, reference))
                continue
            _start_over(clone, head)
            if before:
                _bring(repository, clone, reference)
            else:
                _carry(repository, clone, changes)
                failure = _run_one(repository, clone, name, one)
                if failure:
                    yield Outcome(name, one, failure=failure)
                    continue
                git.answer(repository, "fetch", "--quiet", str(clone), f"+{reference}:{reference}")
            result = read_result(clone, experiment=name, commit=git.commit_of(repository, reference))
            track(environment, result)
            yield Outcome(name, one, before, read_metrics(clone / EVALUATION))


@dataclass(frozen=True)
class Changes:
    """How the user's files differ from HEAD: tracked files as a patch, untracked files by path and hash."""

    patch: bytes
    untracked: dict[str, str]


def _changes(repository: Path) -> Changes:
    names = git.untracked_files(repository)
    untracked = {name: _content(repository / name) for name in names}
    return Changes(git.answer(repository, "diff", "--binary", "HEAD"), untracked)


def _content(path: Path) -> str:
    """The hash of a file's content, or where a link to a folder leads."""
    return str(path.resolve()) if path.is_dir() else sha256_of(path)


def _name(head: str, changes: Changes, one: Set) -> str:
    """The experiment's name. The same set, commit and changes give the same name, so a finished set is recognised."""
    content = [head, hashlib.sha256(changes.patch).hexdigest(), changes.untracked, sorted(one)]
    return f"set-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]}"


def _prepare(repository: Path, clone: Path) -> None:
    """Give the clone the repository's cache and author, and check out the data that the cache has."""
    cache = _dvc(repository, "cache", "dir").stdout.strip()
    _dvc(clone, "cache", "dir", "--local", cache)
    for key in ("user.name", "user.email"):
        value = git.answer(repository, "config", "--default", "", "--get", key).decode().strip()
        if value:
            git.answer(clone, "config", key, value)
    # `dvc exp run` restores outputs of stages by itself, but not sources that `dvc add` tracks.
    _dvc(clone, "checkout", "--allow-missing")


def _start_over(clone: Path, commit: str) -> None:
    git.answer(clone, "reset", "--quiet", "--hard", commit)
    git.answer(clone, "clean", "--quiet", "--force", "-d")


def _carry(repository: Path, clone: Path, changes: Changes) -> None:
    """Copy the user's changes to the clone."""
    if changes.patch:
        git.answer(clone, "apply", "--whitespace=nowarn", given=changes.patch)
    for name in changes.untracked:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        if (repository / name).is_dir():
            (clone / name).symlink_to((repository / name).resolve())
        else:
            shutil.copy2(repository / name, clone / name)


def _bring(repository: Path, clone: Path, reference: str) -> None:
    """Check out an experiment that ran before in the clone, from the cache."""
    git.answer(clone, "fetch", "--quiet", str(repository.resolve()), reference)
    git.answer(clone, "reset", "--quiet", "--hard", "FETCH_HEAD")
    _dvc(clone, "checkout", "--allow-missing", "--force")


def _run_one(repository: Path, clone: Path, name: str, one: Set) -> str:
    """Run one set. Returns why it failed, or an empty string if it did not fail."""
    overrides = [argument for assignment in one for argument in ("-S", assignment)]
    result = _dvc(clone, "exp", "run", "--name", name, *overrides, check=False)
    if result.returncode == 0:
        return ""
    output = result.stdout + result.stderr
    log = repository / LOGS / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(output, encoding="utf-8")
    lines = [line for line in output.splitlines() if line.strip()]
    told = next((line for line in lines if line.lower().startswith("error: ")), lines[-1] if lines else "no output")
    return f"{told} ({LOGS / log.name})"


def _metrics_at(repository: Path, reference: str) -> dict[str, float]:
    return metrics_of(json.loads(git.answer(repository, "show", f"{reference}:./{EVALUATION}")))


def _dvc(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run DVC and its stages with this environment's programs first on the path; an interruption ends all of them."""
    programs = Path(sys.executable).parent
    variables = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    with subprocess.Popen(
        [str(programs / "dvc"), *arguments],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if check and process.returncode:
        raise UserError(f"`dvc {' '.join(arguments[:2])}` failed: {errors.strip().splitlines()[-1]}")
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
