"""A merge that stopped at dvc.lock: the lock and the metrics are made again from the merged code, data and params."""

from pathlib import Path

from champion.core.errors import UserError
from champion.core.layout import LOCK, PIPELINE
from champion.repository import git
from champion.repository.lock import uncached_outs
from champion.repository.process import dvc, run


def resolve_lock(root: Path) -> list[str]:
    """Make what conflicts among dvc.lock and the committed outputs again with `dvc repro`, and stage it.

    Neither side's lock describes the merged pipeline, so no line of them is merged: HEAD's is taken, from which DVC
    finds the stages that the merge changed, and runs those. The commit is left to the person. Returns what was staged.
    Raises `UserError` when another file is in conflict still, when dvc.lock is not, or when a stage fails; the
    conflict is then as it was.
    """
    unmerged = git.changed_files(root, "--diff-filter=U")
    # What the pipeline writes is not known while its definition is in conflict.
    generated = {str(LOCK)} if str(PIPELINE) in unmerged else {str(LOCK), *uncached_outs(root)}
    conflicts = [path for path in unmerged if _is_within(path, generated)]
    others = sorted({*unmerged}.difference(conflicts) | _with_conflict_markers(root, generated))
    if others:
        raise UserError(
            f"in conflict: {', '.join(others)}. What the pipeline gives follows from these: resolve them, `git add` "
            "them, and run this again."
        )
    if not conflicts:
        raise UserError(f"nothing that the pipeline writes is in conflict here. `dvc repro` brings {LOCK} up to date.")
    before = {root / path: (root / path).read_bytes() for path in conflicts if (root / path).is_file()}
    for path in conflicts:
        _take_from_head(root, path)
    if run([dvc(), "repro"], root, quiet=False).returncode:
        for file, content in before.items():
            file.write_bytes(content)
        raise UserError("`dvc repro` failed on what was merged, as it says above. Correct that and run this again.")
    git.answer(root, "add", "--all", "--", *(path for path in generated if (root / path).exists()), *conflicts)
    return git.changed_files(root, "--cached")


def _is_within(path: str, outs: set[str]) -> bool:
    return any(path == out or path.startswith(f"{out}/") for out in outs)


def _with_conflict_markers(root: Path, generated: set[str]) -> set[str]:
    """Files that were added to the index with conflict markers still in them."""
    changed = [
        name for name in git.changed_files(root, "HEAD") if not _is_within(name, generated) and (root / name).is_file()
    ]
    return {name for name in changed if b"\n<<<<<<< " in b"\n" + (root / name).read_bytes()}


def _take_from_head(root: Path, path: str) -> None:
    """Write the file as HEAD has it; a file that HEAD does not have is removed, and the pipeline may make it again."""
    content = git.read_file(root, "HEAD", path)
    if content is not None:
        (root / path).write_bytes(content)
    else:
        (root / path).unlink(missing_ok=True)
