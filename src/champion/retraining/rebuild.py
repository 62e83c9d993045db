"""Make a registered version again, from nothing but its row in the ledger and the commit that the row names."""

from pathlib import Path

from champion.core.errors import ConflictError
from champion.registry.registry import Registry
from champion.registry.versions import Version
from champion.repository import committed
from champion.repository.reproduce import rebuild as rebuild_commit
from champion.retraining.as_of import set_as_of


def rebuild(registry: Registry, name: str) -> Version:
    """The version, once every output of its pipeline came out in a clone with the hash that was registered.

    Raises `UserError` naming the first output that differs, or why it cannot be made again.
    """
    version = registry.resolve(name)
    if version.dirty or version.git_commit is None or not version.lineage:
        raise ConflictError(
            f"{version.name} cannot be made again: its files were not committed when it was registered, so no commit "
            "holds what made it. Commit first, then `champion register`."
        )

    def move_as_of(clone: Path) -> None:
        day = version.params.get(committed.AS_OF)
        if day != committed.as_of(clone):
            set_as_of(clone, str(day))

    root = registry.environment.root
    rebuild_commit(root, version.git_commit, move_as_of, version.lineage, version.model_sha256)
    return version
