"""Proof that the committed dvc.lock and metrics are what the committed code, params and data give."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from champion.artifacts import read_json, write_json
from champion.errors import UserError
from champion.programs import dvc, run

# What the last full check of this working copy found, for `champion report`; not in git.
RECORD = Path("reports/reproduction.json")
LOCK = "dvc.lock"


@contextmanager
def clone_of_head(repository: Path) -> Iterator[Path]:
    """A clone of the repository's HEAD in a temporary folder, without its data."""
    with tempfile.TemporaryDirectory(prefix="champion-") as folder:
        clone = Path(folder) / "clone"
        run(["git", "clone", "--quiet", "--no-hardlinks", str(repository.resolve()), str(clone)], repository)
        yield clone


def stale_stages(clone: Path) -> list[str]:
    """One sentence per reason why dvc.lock is not what the committed files would give; empty when it is.

    Reads a clone without data: code, params, commands, metrics and the hashes that stages hand on are compared, in
    seconds; that the stages really give those hashes is what `first_difference` after a forced run shows.
    """
    lock = _read_lock(clone)
    status: dict[str, list[Any]] = json.loads(run([dvc(), "status", "--json"], clone).stdout)
    reasons = [f"stage {name}: it is not in dvc.lock" for name in _stage_names(clone) if name not in lock["stages"]]
    handed_on = {out["path"]: (name, out["md5"]) for name, stage in lock["stages"].items() for out in stage["outs"]}
    uncached = uncached_outs(clone)
    for name, changes in status.items():
        if name in lock["stages"]:
            reasons += [
                f"stage {name}: {reason}" for change in changes for reason in _reasons(change, handed_on, uncached)
            ]
    for name, stage in lock["stages"].items():
        for dep in stage["deps"]:
            maker, md5 = handed_on.get(dep["path"], (None, dep["md5"]))
            if dep["md5"] != md5:
                reasons.append(f"stage {name}: it was run on another {dep['path']} than stage {maker} left")
    return reasons


def first_difference(clone: Path, before: dict[str, Any]) -> str | None:
    """The first output, in the stages' order, that differs from the lock `before` a forced run; None if none does."""
    after = _read_lock(clone)
    for name, stage in after["stages"].items():
        committed = before["stages"].get(name, {})
        hashes = {out["path"]: out["md5"] for out in committed.get("outs", [])}
        for out in stage["outs"]:
            if hashes.get(out["path"]) != out["md5"]:
                return f"stage {name}: {out['path']} came out as {out['md5']}, dvc.lock has {hashes.get(out['path'])}"
        if committed != stage:
            return f"stage {name}: its dvc.lock entry changed (deps, params or command)"
    changed = run(["git", "status", "--porcelain", "--", "dvc.lock", "metrics"], clone).stdout.splitlines()
    return f"{changed[0][3:]} is not as committed" if changed else None


def reproduce(repository: Path, *, fast: bool) -> None:
    """Check HEAD of the repository in a clone. Raises `UserError` naming what is stale or which output differs."""
    with clone_of_head(repository) as clone:
        stale = stale_stages(clone)
        if stale:
            raise UserError(
                "dvc.lock is stale:\n  " + "\n  ".join(stale) + "\nRun `dvc repro`, and commit dvc.lock and metrics/."
            )
        if fast:
            return
        before = _read_lock(clone)
        if run([dvc(), "repro", "--force"], clone, quiet=False).returncode:
            raise UserError("`dvc repro --force` failed in a clone of HEAD; its output above says why.")
        difference = first_difference(clone, before)
    if difference:
        raise UserError(f"not reproduced: {difference}.")


def recorded(repository: Path, record: Path) -> None:
    """`reproduce`, with its answer written down for the report: a JSON object with `commit`, `reproduced`, `reason`."""
    answer = {"commit": run(["git", "rev-parse", "HEAD"], repository).stdout.strip(), "reproduced": True, "reason": ""}
    try:
        reproduce(repository, fast=False)
    except UserError as error:
        answer |= {"reproduced": False, "reason": str(error)}
        raise
    finally:
        write_json(record, answer)


def last_answer(repository: Path) -> tuple[bool | None, str]:
    """Whether HEAD was reproduced, and why not, as the last full check said; None when none was of this commit."""
    if not (repository / RECORD).exists():
        return None, ""
    answer = read_json(repository / RECORD)
    same = answer.get("commit") == run(["git", "rev-parse", "HEAD"], repository).stdout.strip()
    return (answer.get("reproduced") is True, str(answer.get("reason"))) if same else (None, "")


def changed_stages(repository: Path) -> list[str]:
    """The stages that `dvc repro` would run in this working tree, by DVC's own account."""
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


def uncached_outs(clone: Path) -> set[str]:
    """The outputs that git has and DVC does not: metrics, plots, the model card."""
    stages = _read_stages(clone, "dvc.yaml")
    outs = [out for stage in stages.values() for kind in ("outs", "metrics") for out in stage.get(kind, [])]
    return {path for out in outs if isinstance(out, dict) for path, spec in out.items() if spec.get("cache") is False}


def _stage_names(clone: Path) -> list[str]:
    return list(_read_stages(clone, "dvc.yaml"))


def _read_lock(clone: Path) -> dict[str, Any]:
    return {"stages": _read_stages(clone, LOCK)}


def _read_stages(clone: Path, name: str) -> dict[str, Any]:
    try:
        content = YAML(typ="safe").load((clone / name).read_text(encoding="utf-8"))
        stages = content["stages"]
    except FileNotFoundError:
        raise UserError(f"{name} is not committed. Run `dvc repro` and commit it.") from None
    except (YAMLError, LookupError, TypeError):
        stages = None
    if not isinstance(stages, dict):
        raise UserError(f"{name}: not a YAML mapping with `stages`. Restore it, or run `dvc repro`, and commit it.")
    return stages
