"""Errors that a user can fix, each with a one-sentence message; the class says what kind of fix is needed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can fix: the message names the file, column or key, and the fix."""


class NotFoundError(UserError):
    """Nothing with the requested name exists."""


class NoRowsError(NotFoundError):
    """The source has no row in the window."""


class ConflictError(UserError):
    """The request is valid, but the current state of its object does not allow it."""


class UnavailableError(UserError):
    """A database, a store or another service cannot be used now."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a `UserError`, a full disk or a refused permission into one line on stderr and exit status 1."""
    try:
        yield
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        # Nobody reads on, as after `| head`. Typer ends the program then.
        raise
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{error.strerror}. Free some space or correct the permissions, then run it again.")
