"""MLflow's aliases follow an effect: in a process of their own, so that no command waits for MLflow to be imported."""

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

ACTIONS = SWITCHES | {"register", "challenge", ACCEPT}
REPAIR = "`champion mirror` brings them up to date"
CONNECT_SECONDS = 2


def start(registry: Registry, row: Row) -> None:
    """Begin to bring MLflow up to the ledger, where anything was ever tracked; raises `UserError` when it cannot."""
    environment = registry.environment
    if row.action not in ACTIONS or not in_use(environment):
        return
    if not installed():
        raise UserError(f"MLflow is not installed here, so its aliases do not follow: {REPAIR}.")
    if not _answers(tracking_uri(environment)):
        raise UserError(f"MLflow cannot be reached, so its aliases do not follow: {REPAIR}.")
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
    # Its output ends when it holds its lock, long before it is done: from then on `wait` knows of it.
    with cast("IO[bytes]", process.stdout) as output:
        output.read()


def wait(environment: Environment) -> None:
    """Wait until no process of this machine is still bringing MLflow up to the ledger."""
    from filelock import FileLock

    for path in _folder(environment).glob("mirror-*.lock"):
        with FileLock(path):
            pass
        path.unlink(missing_ok=True)


def _folder(environment: Environment) -> Path:
    return environment.root / "var" / environment.name


def _answers(uri: str) -> bool:
    """Whether anything listens where the tracking server should be; True where there is no server."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return True
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
