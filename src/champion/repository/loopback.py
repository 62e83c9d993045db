"""Servers that only this machine can reach, until Ctrl-C."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

HOST = "127.0.0.1"
SECONDS_TO_STOP = 15


@contextmanager
def ending_politely() -> Iterator[None]:
    """Turn the first stop signal into a `KeyboardInterrupt`, and ignore further ones while the server stops.

    A closed terminal does not stop what `nohup` started.
    """
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if "SIGHUP" in names and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        names.remove("SIGHUP")

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for name in names:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@contextmanager
def started(command: list[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that ends with the block, and with it all that it started. `options` are those of `Popen`."""
    # In a session of its own, Ctrl-C does not reach it, and one signal reaches all its processes.
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        yield process
    finally:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_STOP)
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send the signal to the process and to those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def is_free(port: int) -> bool:
    """Whether a server can listen on this port of the host; 0, any port, is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True
