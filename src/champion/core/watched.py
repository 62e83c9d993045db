"""A stage in a process of its own, watched by another one that tells how it ended."""

import os
import signal
import sys

from champion.core.endings import open_closed_streams, shorten_interruptions

PARENT_DEATH_SIGNAL = 1
# Libraries in Rust and C++ abort when they get no memory. When the machine has none, Linux kills the largest process.
MEMORY = ("SIGABRT", "SIGKILL")


def watch_stage() -> None:
    """Go on in a child process; this one waits for its end, exits as it does, and prints a sentence if it was killed.

    A Ctrl-C is one line, also while the stage reads its libraries. Without `fork`, there is no child.
    """
    open_closed_streams()
    if hasattr(os, "fork"):
        before, parent = signal.signal(signal.SIGINT, signal.SIG_IGN), os.getpid()
        child = os.fork()
        if child:
            os._exit(_status_of(child))
        signal.signal(signal.SIGINT, before)
        _end_with(parent)
    shorten_interruptions()


def _status_of(child: int) -> int:
    """The exit status of the child, after its end. A request to end goes to the child."""
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status >= 0:
        return status
    name = signal.Signals(-status).name
    if name not in ("SIGINT", "SIGTERM"):
        stage = sys.orig_argv[sys.orig_argv.index("-m") + 1].rpartition(".")[2]
        why = ", as happens when memory is full. Give it more, or fewer rows, then" if name in MEMORY else ". Please"
        print(f"error: the stage {stage} was ended by {name}{why} run it again.", file=sys.stderr, flush=True)
    return 128 - status


def _end_with(parent: int) -> None:
    """Let Linux kill this process when its parent is killed. Elsewhere it would go on."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)
