"""How a program ends: in one line for what a user can fix, never in a traceback."""

import errno
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from champion.core.errors import UserError
from champion.core.masking import masked

# What a shell says of a program that ended by Ctrl-C, and of one whose output nobody reads any more.
INTERRUPTED = 130
UNREAD = 141


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what a user can fix into one line on stderr and exit status 1: a `UserError`, a full disk or memory.

    A Ctrl-C is one line too, and no line says that nobody reads the output any more, as after `| head`.
    """
    open_closed_streams()
    try:
        yield
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except MemoryError as error:
        sys.exit(f"error: {no_memory(error)}")
    except BrokenPipeError:
        if not _is_unread():
            raise
        sys.exit(UNREAD)
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        where = f"{masked(str(error.filename))}: " if error.filename else ""
        fix = "Shorten it" if error.errno == errno.ENAMETOOLONG else "Free some space or correct the permissions"
        sys.exit(f"error: {where}{error.strerror}. {fix}, then run it again.")


def open_closed_streams() -> None:
    """Let a stream that was closed when Python started, as a service can have it, read and write nothing.

    Otherwise the stream is None, and the next open file gets its number, with what other programs print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nowhere, True)
            setattr(sys, name, os.fdopen(nowhere, mode, closefd=False))


def shorten_interruptions() -> None:
    """Print one line instead of a traceback for a Ctrl-C outside of `one_line_errors`. Python then ends by SIGINT."""
    others = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
        else:
            others(kind, error, traceback)

    sys.excepthook = tell


def no_memory(error: MemoryError) -> str:
    """The sentence for a full memory, with what was wanted where NumPy or Arrow say it."""
    said = " ".join(str(error).split()).rstrip(".")
    return f"not enough memory{f' ({said})' if said else ''}. Give it more, or fewer rows, then run it again."


def _is_unread() -> bool:
    """Whether nobody reads stdout or stderr any more. What is still written then goes nowhere."""
    unread = [number for number in (1, 2) if _has_no_reader(number)]
    for number in unread:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
    return bool(unread)


def _has_no_reader(number: int) -> bool:
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(number, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
