"""Resolving a merge conflict in dvc.lock: make lock and metrics again from the merged code, data and params."""

from pathlib import Path

from champion.core.errors import UserError
from champion.core.layout import LOCK, PIPELINE
from champion.repository import git
from champion.repository.lock import uncached_outs
from champion.repository.process import dvc, run


def resolve_lock(root: Path) -> list[str]:
    """Make dvc.lock and the committed outputs in conflict again with `dvc repro`, and stage them (`git add`).

    Neither side's lock describes the merged pipeline, so their lines are not merged. DVC starts from HEAD's lock and
    runs the stages that the merge changed. The user makes the commit. Returns the staged files. Raises `UserError` when
    another file is still in conflict, when no output is in conflict, or when a stage fails; then the conflict stays.
    """
    unmerged = git.changed_files(root, "--diff-filter=U")
    # While dvc.yaml is in conflict, the outputs of the pipeline are unknown.
    generated = {str(LOCK)} if str(PIPELINE) in unmerged else {str(LOCK), *uncached_outs(root)}
    conflicts = [path for path in unmerged if _is_within(path, generated)]
    others = sorted({*unmerged}.difference(conflicts) | _with_conflict_markers(root, generated))
    if others:
        raise UserError(
            f"in conflict: {', '.join(others)}. The pipeline's outputs depend on these files: resolve them, `git add` "
            "them, and run this again."
        )
    if not conflicts:
        raise UserError(f"no output of the pipeline is in conflict here. `dvc repro` brings {LOCK} up to date.")
    before = {root / path: (root / path).read_bytes() for path in conflicts if (root / path).is_file()}
    for path in conflicts:
        _take_from_head(root, path)
    if run([dvc(), "repro"], root, quiet=False).returncode:
        for file, content in before.items():
            file.write_bytes(content)
        raise UserError("`dvc repro` failed after the merge; its output above says why. Correct it and run this again.")
    git.answer(root, "add", "--all", "--", *(path for path in generated if (root / path).exists()), *conflicts)
    return git.changed_files(root, "--cached")


def _is_within(path: str, outs: set[str]) -> bool:
    return any(path == out or path.startswith(f"{out}/") for out in outs)


def _with_conflict_markers(root: Path, generated: set[str]) -> set[str]:
    """Files that were added to the index but still have conflict markers."""
    changed = [
        name for name in git.changed_files(root, "HEAD") if not _is_within(name, generated) and (root / name).is_file()
    ]
    return {name for name in changed if b"\n<<<<<<< " in b"\n" + (root / name).read_bytes()}


def _take_from_head(root: Path, path: str) -> None:
    """Restore HEAD's version of the file. Remove a file that HEAD does not have; the pipeline can make it again."""
    content = git.read_file(root, "HEAD", path)
    if content is not None:
        (root / path).write_bytes(content)
    else:
        (root / path).unlink(missing_ok=True)
