"""The process that `background_sync` starts. It updates MLflow from the ledger, and holds a lock until it ends."""

import os
import sys
from pathlib import Path

from filelock import FileLock


def main(environment: str, lock: Path) -> None:
    """Update MLflow from the ledger of the environment, while holding the lock."""
    with FileLock(lock):
        # Close our output, because the command waits for its end. So nothing slow is imported before this line.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        from champion.core.endings import one_line_errors
        from champion.environments import load_environment
        from champion.registry.registry import Registry
        from champion.tracking.registry_sync import apply

        with one_line_errors():
            apply(Registry.open(load_environment(environment)))
    lock.unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
