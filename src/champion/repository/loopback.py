"""Servers that only this machine can reach, until Ctrl-C."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HOST = "127.0.0.1"


@contextmanager
def ending_politely() -> Iterator[None]:
    """Turn the first stop signal into a `KeyboardInterrupt`, and ignore further ones while the server stops."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

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


def is_free(port: int) -> bool:
    """Whether a server can listen on this port of the host; 0, any port, is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True
