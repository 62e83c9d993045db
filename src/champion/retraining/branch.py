"""The branch whose code may train: `train.yml` asks before a job has a secret.

This module uses only the standard library, because the job that asks installs nothing.
"""

import sys

from champion.core.endings import one_line_errors
from champion.core.errors import UserError

BRANCH = "refs/heads/main"


def refuse_other(ref: str) -> None:
    """Raise `UserError` unless the ref is main."""
    if ref != BRANCH:
        raise UserError(
            f"{ref}: train.yml runs only on main, because its jobs have the secrets of staging, and its result may "
            "become the champion. Merge first, or run `champion retrain` on your machine."
        )


if __name__ == "__main__":
    with one_line_errors():
        refuse_other(sys.argv[1])
