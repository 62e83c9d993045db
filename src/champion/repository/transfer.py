"""Outputs between this machine and the DVC remote. A pull names every wrong file; a push repairs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from champion.core.errors import UserError, warn
from champion.core.layout import LOCK, METRICS
from champion.repository import git
from champion.repository.objects import Objects
from champion.repository.process import dvc, run
from champion.repository.remote import Remote, opened, usable


def pull(root: Path, *, allow_missing: bool) -> None:
    """`dvc pull` of every output that the remote has completely.

    Then name each missing or wrong file, in a `UserError`, or on stderr with `allow_missing`. A file in the workspace
    always has exactly the content that dvc.lock names. For a remote that is not on S3, only `dvc pull` runs.
    """
    remote = usable(root)
    if not remote.is_on_s3:
        options = ["--allow-missing"] if allow_missing else []
        if run([dvc(), "pull", *options], root, quiet=False).returncode:
            raise UserError(f"`dvc pull` from {remote.url} failed; its output above says why.")
        return
    with _objects(root, remote) as objects:
        if objects.unnamed and not allow_missing:
            raise UserError(f"dvc.lock does not name {', '.join(objects.unnamed)} yet. Run `dvc repro`.")
        defects = [defect for out in objects.outs if not objects.is_cached(out) for defect in objects.defects(out)]
        defective = {defect.item.out for defect in defects}
        whole = [out for out in objects.outs if out not in defective]
        # DVC takes a third of a second for each path that it is given.
        paths = whole if defects or objects.unnamed else []
    if whole and run([dvc(), "pull", *paths], root, quiet=False).returncode:
        with _objects(root, usable(root)) as objects:
            missed = [out for out in whole if not objects.is_cached(out)]
            defects += [defect for out in missed for defect in objects.defects(out, verify=True)]
        if not defects:
            raise UserError(f"`dvc pull` from {remote.url} failed; its output above says why.")
    if not defects:
        return
    told = f"{remote.url} does not have all that dvc.lock names:\n  " + "\n  ".join(map(str, defects))
    told += "\nEverything else was pulled. `dvc repro` makes these again; then `champion push` repairs the remote."
    if not allow_missing:
        raise UserError(told)
    warn(told)


def push(root: Path, *, verify: bool) -> list[str]:
    """`dvc push`, and repair of objects that `dvc push` skips: wrong content, and lost files of a folder sent before.

    With `verify`, the content is read if the ETag does not prove it. Returns the paths of the repaired objects. Raises
    `UserError` when dvc.lock has uncommitted changes, or when an output is not in the cache.
    """
    if git.uncommitted_files(root, LOCK, METRICS):
        raise UserError(
            "dvc.lock or metrics/ has uncommitted changes, so no commit would name the pushed objects. Commit first."
        )
    remote = usable(root)
    if not remote.is_on_s3:
        if run([dvc(), "push"], root, quiet=False).returncode:
            raise UserError(f"`dvc push` to {remote.url} failed; its output above says why.")
        return []
    with _objects(root, remote) as objects:
        lost = [out for out in objects.outs if not objects.is_cached(out)]
        if lost:
            raise UserError(
                f"not in this machine's cache: {', '.join(lost)}. Run `dvc repro` or `champion pull` first."
            )
        repaired = [path for out in objects.outs for path in objects.repair(out, verify=verify)]
    if run([dvc(), "push"], root, quiet=False).returncode:
        usable(root)
        raise UserError(f"`dvc push` to {remote.url} failed; its output above says why. Run it again to continue.")
    with _objects(root, remote) as objects:
        defects = [defect for out in objects.outs for defect in objects.defects(out)]
    if defects:
        raise UserError(f"{remote.url} lacks objects that were sent:\n  " + "\n  ".join(map(str, defects)))
    return repaired


@contextmanager
def _objects(root: Path, remote: Remote) -> Iterator[Objects]:
    with opened(root, remote) as repo:
        yield Objects(repo)
