"""The process that `background_sync` starts: it holds a lock until MLflow is up to the ledger, or it ends otherwise."""

import os
import sys
from pathlib import Path

from filelock import FileLock


def main(environment: str, lock: Path) -> None:
    """Bring MLflow up to the ledger of the environment, under the lock."""
    with FileLock(lock):
        # The command that waits for the end of our output goes on. Until here nothing slow was imported.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        from champion.core.errors import one_line_errors
        from champion.environments import load_environment
        from champion.registry.registry import Registry
        from champion.tracking.registry_sync import apply

        with one_line_errors():
            apply(Registry.open(load_environment(environment)))
    lock.unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
