"""Make a registered version again, only from its row in the ledger and the commit in this row."""

from pathlib import Path

from champion.core.errors import ConflictError
from champion.delivery.register import MADE
from champion.registry.registry import Registry
from champion.registry.versions import Version
from champion.repository import committed
from champion.repository.reproduce import rebuild as rebuild_commit
from champion.retraining.as_of import set_as_of


def rebuild(registry: Registry, name: str) -> Version:
    """Run the version's pipeline in a clone, and return the version if every output has its registered hash.

    Raises `UserError` naming the first output that differs, or why the version cannot be made again.
    """
    version = registry.resolve(name)
    if version.dirty or version.git_commit is None or not version.lineage:
        raise ConflictError(
            f"{version.name} cannot be made again: its files were not committed at its registration, so no commit has "
            "them. Commit first, then `champion register`."
        )

    def move_as_of(clone: Path) -> None:
        day = version.params.get(committed.AS_OF)
        if day != committed.as_of(clone):
            set_as_of(clone, str(day))

    models = {path: version.files[name] for name, path in MADE.items() if name in version.files}
    rebuild_commit(registry.environment.root, version.git_commit, move_as_of, version.lineage, models)
    return version
