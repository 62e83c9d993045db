"""What follows once an effect is done and recorded: its failure is told, and undoes nothing."""

import sys
from collections.abc import Callable

from champion.delivery import mirror_later, notify
from champion.delivery.ledger import Row
from champion.environments import Environment
from champion.errors import UserError

FOLLOWERS: list[Callable[[Environment, Row], None]] = [notify.tell, mirror_later.follow]


def follow(environment: Environment, row: Row) -> None:
    """Let every follower know of the row."""
    for follower in FOLLOWERS:
        try:
            follower(environment, row)
        except UserError as error:
            print(f"warning: {error}", file=sys.stderr)
        except Exception as error:
            # Whatever it was, the effect stands. Its text may hold an address that is a secret: only its kind is told.
            print(f"warning: {follower.__module__} could not follow ({type(error).__name__})", file=sys.stderr)
