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

from champion.artifacts import read_json
from champion.delivery.registry import EVALUATION
from champion.delivery.tracking import is_tracked, read_result, track
from champion.environments import Environment
from champion.errors import UserError
from champion.experiments.sets import Set
from champion.reproduction import clone_of_head

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
    head, changes = _git(repository, "rev-parse", "HEAD").decode().strip(), _changes(repository)
    with clone_of_head(repository) as clone:
        _prepare(repository, clone)
        for one in sets:
            name = _name(head, changes, one)
            begin(name, one)
            reference = f"refs/exps/{head[:2]}/{head[2:]}/{name}"
            before = _commit(repository, reference) is not None
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
                _git(repository, "fetch", "--quiet", str(clone), f"+{reference}:{reference}")
            result = read_result(clone, experiment=name, commit=_commit(repository, reference))
            track(environment, result)
            yield Outcome(name, one, before, read_json(clone / EVALUATION))


@dataclass(frozen=True)
class Changes:
    """What differs from HEAD in the user's files: tracked ones as a patch, others by path and hash."""

    patch: bytes
    untracked: dict[str, str]


def _changes(repository: Path) -> Changes:
    listed = _git(repository, "ls-files", "--others", "--exclude-standard", "-z").decode().split("\0")
    untracked = {name: hashlib.sha256((repository / name).read_bytes()).hexdigest() for name in filter(None, listed)}
    return Changes(_git(repository, "diff", "--binary", "HEAD"), untracked)


def _name(head: str, changes: Changes, one: Set) -> str:
    """The same for the same set from the same commit and changes, so that it is known again."""
    content = [head, hashlib.sha256(changes.patch).hexdigest(), changes.untracked, sorted(one)]
    return f"set-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]}"


def _prepare(repository: Path, clone: Path) -> None:
    """Let the clone use the repository's cache and its author, and fetch what data the cache has."""
    cache = _dvc(repository, "cache", "dir").stdout.strip()
    _dvc(clone, "cache", "dir", "--local", cache)
    for key in ("user.name", "user.email"):
        value = _git(repository, "config", "--default", "", "--get", key).decode().strip()
        if value:
            _git(clone, "config", key, value)
    # Sources that `dvc add` tracks are no stage's outputs, which DVC would fetch by itself.
    _dvc(clone, "checkout", "--allow-missing")


def _start_over(clone: Path, commit: str) -> None:
    _git(clone, "reset", "--quiet", "--hard", commit)
    _git(clone, "clean", "--quiet", "--force", "-d")


def _carry(repository: Path, clone: Path, changes: Changes) -> None:
    """Make the user's own changes in the clone."""
    if changes.patch:
        subprocess.run(["git", "apply", "--whitespace=nowarn"], cwd=clone, input=changes.patch, check=True)
    for name in changes.untracked:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repository / name, clone / name)


def _bring(repository: Path, clone: Path, reference: str) -> None:
    """Let the clone hold an experiment that was run before, from the cache."""
    _git(clone, "fetch", "--quiet", str(repository.resolve()), reference)
    _git(clone, "reset", "--quiet", "--hard", "FETCH_HEAD")
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
    metrics: dict[str, float] = json.loads(_git(repository, "show", f"{reference}:./{EVALUATION}"))
    return metrics


def _commit(repository: Path, reference: str) -> str | None:
    command = ["git", "rev-parse", "--verify", "--quiet", reference]
    found = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def _git(folder: Path, *arguments: str) -> bytes:
    result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    if result.returncode:
        raise UserError(f"`git {arguments[0]}` failed: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout


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
