"""Updating MLflow after an action, in a separate process, so that no command waits for the import of MLflow."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit
from uuid import uuid4

from champion.core.errors import UserError
from champion.environments import Environment
from champion.registry.chain import ACCEPT, Row
from champion.registry.history import SWITCHES
from champion.registry.registry import Registry
from champion.tracking.client import in_use, installed, tracking_uri

ACTIONS = SWITCHES | {"register", "challenge", "retire", ACCEPT}
REPAIR = "`champion mirror` updates them"
CONNECT_SECONDS = 2


def start(registry: Registry, row: Row) -> None:
    """Start to update MLflow from the ledger, if MLflow is in use. Raises `UserError` when it cannot start."""
    environment = registry.environment
    if row.action not in ACTIONS or not in_use(environment):
        return
    if not installed():
        raise UserError(f"MLflow is not installed here, so its aliases are now out of date: {REPAIR}.")
    if not _answers(tracking_uri(environment)):
        raise UserError(f"MLflow cannot be reached, so its aliases are now out of date: {REPAIR}.")
    folder = _folder(environment)
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder.resolve() / f"mirror-{uuid4().hex}.lock"
    command = [sys.executable, "-m", "champion.tracking.sync_process", environment.name, str(lock)]
    with (folder / "mirror.log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=environment.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    # The process closes its output when it holds its lock, long before it ends. Then `wait` can see the lock.
    with cast("IO[bytes]", process.stdout) as output:
        output.read()


def wait(environment: Environment) -> None:
    """Wait until no process on this machine is updating MLflow."""
    from filelock import FileLock

    for path in _folder(environment).glob("mirror-*.lock"):
        with FileLock(path):
            pass
        path.unlink(missing_ok=True)


def _folder(environment: Environment) -> Path:
    return environment.root / "var" / environment.name


def _answers(uri: str) -> bool:
    """Whether a tracking server accepts connections; always True if no server is configured."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return True
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
