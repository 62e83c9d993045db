"""What a user can fix, in one sentence: an error, whose class says what kind of fix is needed, or a warning."""

import errno
import sys

from champion.core.masking import masked


class UserError(Exception):
    """Something the user can fix: the message names the file, column or key, and the fix.

    Wherever it is shown, logged or sent, it shows no password of a URL.
    """

    def __init__(self, message: str) -> None:
        super().__init__(masked(message))


class NotFoundError(UserError):
    """Nothing with the requested name exists."""


class NoRowsError(NotFoundError):
    """The source has no row in the window."""


class ConflictError(UserError):
    """The request is valid, but the current state of its object does not allow it."""


class UnavailableError(UserError):
    """A database, a store or another service cannot be used now."""


def warn(message: str) -> None:
    """Print a warning on stderr."""
    print(f"warning: {masked(message)}", file=sys.stderr, flush=True)


def refuse_full_memory(error: Exception) -> None:
    """Raise a `MemoryError` if that is what the operating system or a library means."""
    if getattr(error, "errno", None) == errno.ENOMEM or f"os error {errno.ENOMEM})" in str(error):
        raise MemoryError from None
