"""Several parameter sets, each run by `dvc exp run` in a clone and tracked: the user's own files are never touched.

DVC's references to the experiments are fetched from the clone, and its cache is the user's, so that `dvc exp show`,
`dvc exp apply` and the rest know them as if they had been run in place.
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
    """What became of one set: its experiment's name, whether it was there before, its metrics, or why it failed."""

    name: str
    assignments: Set
    before: bool = False
    metrics: dict[str, float] | None = None
    failure: str = ""


def run(environment: Environment, sets: Sequence[Set], begin: Callable[[str, Set], None]) -> Iterator[Outcome]:
    """Run each set that was not run before from this commit and these changes; `begin` is told of each as it starts.

    A set that fails is told in its outcome, and the next one runs.
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
    """What differs from HEAD in the user's files: tracked ones as a patch, others by path and hash."""

    patch: bytes
    untracked: dict[str, str]


def _changes(repository: Path) -> Changes:
    names = git.untracked_files(repository)
    untracked = {name: hashlib.sha256((repository / name).read_bytes()).hexdigest() for name in names}
    return Changes(git.answer(repository, "diff", "--binary", "HEAD"), untracked)


def _name(head: str, changes: Changes, one: Set) -> str:
    """The same for the same set from the same commit and changes, so that it is known again."""
    content = [head, hashlib.sha256(changes.patch).hexdigest(), changes.untracked, sorted(one)]
    return f"set-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]}"


def _prepare(repository: Path, clone: Path) -> None:
    """Let the clone use the repository's cache and its author, and fetch what data the cache has."""
    cache = _dvc(repository, "cache", "dir").stdout.strip()
    _dvc(clone, "cache", "dir", "--local", cache)
    for key in ("user.name", "user.email"):
        value = git.answer(repository, "config", "--default", "", "--get", key).decode().strip()
        if value:
            git.answer(clone, "config", key, value)
    # Sources that `dvc add` tracks are no stage's outputs, which DVC would fetch by itself.
    _dvc(clone, "checkout", "--allow-missing")


def _start_over(clone: Path, commit: str) -> None:
    git.answer(clone, "reset", "--quiet", "--hard", commit)
    git.answer(clone, "clean", "--quiet", "--force", "-d")


def _carry(repository: Path, clone: Path, changes: Changes) -> None:
    """Make the user's own changes in the clone."""
    if changes.patch:
        git.answer(clone, "apply", "--whitespace=nowarn", given=changes.patch)
    for name in changes.untracked:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repository / name, clone / name)


def _bring(repository: Path, clone: Path, reference: str) -> None:
    """Let the clone hold an experiment that was run before, from the cache."""
    git.answer(clone, "fetch", "--quiet", str(repository.resolve()), reference)
    git.answer(clone, "reset", "--quiet", "--hard", "FETCH_HEAD")
    _dvc(clone, "checkout", "--allow-missing", "--force")


def _run_one(repository: Path, clone: Path, name: str, one: Set) -> str:
    """Run one set; why it failed, empty when it did not."""
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
    """Run DVC with this environment's programs first on the path, for its stages too; an interruption ends them all."""
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
