"""Proof that the committed code, params and data give the committed dvc.lock and metrics."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from champion.core.errors import NotFoundError, UserError
from champion.core.files import read_json, sha256_of, write_json
from champion.core.layout import LOCK, METRICS, PIPELINE
from champion.repository import git
from champion.repository.lock import disconnections, outs_of, read_stages, uncached_outs
from champion.repository.process import dvc, run

# The result of the last full check in this working copy, for `champion report`; not in git.
RECORD = Path("reports/reproduction.json")


def stale_stages(clone: Path) -> list[str]:
    """One sentence per reason why dvc.lock does not fit the committed files; empty when it fits.

    It needs only a clone without data and seconds. It compares code, params, commands, metrics, and the hashes that
    one stage writes and the next reads. Only `first_difference` after a forced run shows that stages give these hashes.
    """
    lock = _committed_stages(clone, LOCK)
    status: dict[str, list[Any]] = json.loads(run([dvc(), "status", "--json"], clone).stdout)
    reasons = [
        f"stage {name}: it is not in dvc.lock" for name in _committed_stages(clone, PIPELINE) if name not in lock
    ]
    handed_on = {out["path"]: (name, out["md5"]) for name, stage in lock.items() for out in stage["outs"]}
    uncached = uncached_outs(clone)
    for name, changes in status.items():
        if name in lock:
            reasons += [
                f"stage {name}: {reason}" for change in changes for reason in _reasons(change, handed_on, uncached)
            ]
    return reasons + list(disconnections(lock))


def first_difference(clone: Path, before: dict[str, dict[str, Any]]) -> str | None:
    """The first output that differs from the lock `before` the forced run; None if no output differs."""
    after = read_stages(clone)
    for name, stage in after.items():
        committed = before.get(name, {})
        hashes = {out["path"]: out["md5"] for out in committed.get("outs", [])}
        for out in stage["outs"]:
            if hashes.get(out["path"]) != out["md5"]:
                return f"stage {name}: {out['path']} has the md5 {out['md5']}, dvc.lock has {hashes.get(out['path'])}"
        if committed != stage:
            return f"stage {name}: its dvc.lock entry changed (deps, params or command)"
    changed = git.uncommitted_files(clone, LOCK, METRICS)
    return f"{changed[0]} differs from the commit" if changed else None


def reproduce(repository: Path, *, fast: bool) -> None:
    """Check HEAD of the repository in a clone. Raises `UserError` naming what is stale or which output differs."""
    with git.clone_at(repository) as clone:
        stale = stale_stages(clone)
        if stale:
            raise UserError(
                "dvc.lock is stale:\n  " + "\n  ".join(stale) + "\nRun `dvc repro`, and commit dvc.lock and metrics/."
            )
        if fast:
            return
        before = read_stages(clone)
        if run([dvc(), "repro", "--force"], clone, quiet=False).returncode:
            raise UserError("`dvc repro --force` failed in a clone of HEAD; its output above says why.")
        difference = first_difference(clone, before)
    if difference:
        raise UserError(f"not reproduced: {difference}.")


def rebuild(
    repository: Path, commit: str, adjust: Callable[[Path], None], outs: Mapping[str, str], models: Mapping[Path, str]
) -> None:
    """Run the pipeline of a commit again in a clone; `adjust` may change the clone before the run.

    Raises `UserError` naming the first of `models` with another SHA-256, or the first output with another MD5.
    """
    if git.commit_of(repository, commit) is None:
        raise NotFoundError(f"the commit {commit} is not in this repository. Fetch the branch that has it.")
    with git.clone_at(repository, commit) as clone:
        adjust(clone)
        if run([dvc(), "repro", "--force"], clone, quiet=False).returncode:
            raise UserError(f"`dvc repro --force` failed in a clone of {commit}; its output above says why.")
        found, made = outs_of(clone), {path: sha256_of(clone / path) for path in models}
    for model, sha256 in models.items():
        if made[model] != sha256:
            raise UserError(f"not reproduced: {model} has the sha256 {made[model]}, but {sha256} was registered.")
    for path, md5 in outs.items():
        if found.get(path) != md5:
            raise UserError(f"not reproduced: {path} has the md5 {found.get(path)}, but {md5} was registered.")


def recorded(repository: Path, record: Path) -> None:
    """`reproduce`, which also writes its result for the report: JSON with `commit`, `reproduced` and `reason`."""
    answer = {"commit": git.head_commit(repository), "reproduced": True, "reason": ""}
    try:
        reproduce(repository, fast=False)
    except UserError as error:
        answer |= {"reproduced": False, "reason": str(error)}
        raise
    finally:
        write_json(record, answer)


def last_answer(repository: Path) -> tuple[bool | None, str]:
    """Whether the last full check reproduced HEAD, and if not, why; None without a check of this commit."""
    if not (repository / RECORD).exists():
        return None, ""
    answer = read_json(repository / RECORD)
    same = answer.get("commit") == git.head_commit(repository)
    return (answer.get("reproduced") is True, str(answer.get("reason"))) if same else (None, "")


def changed_stages(repository: Path) -> list[str]:
    """The stages that `dvc repro` would run in this working tree, according to DVC."""
    return sorted(json.loads(run([dvc(), "status", "--json"], repository).stdout))


def _reasons(change: Any, handed_on: dict[str, tuple[str, str]], uncached: set[str]) -> Iterator[str]:
    if isinstance(change, str):
        yield f"{change}, compared with dvc.lock"
        return
    for what, items in change.items():
        for path, state in items.items():
            if isinstance(state, dict):
                yield from (f"the parameter {key} is {how} since dvc.lock was made" for key, how in state.items())
            elif path in uncached or path not in handed_on:
                yield f"{path} is {state} since dvc.lock was made ({what})"
            elif state not in ("deleted", "not in cache"):
                yield f"{path} is {state} ({what})"


def _committed_stages(clone: Path, file: Path) -> dict[str, dict[str, Any]]:
    try:
        return read_stages(clone, file)
    except NotFoundError:
        raise UserError(f"{file} is not committed. Run `dvc repro` and commit it.") from None
