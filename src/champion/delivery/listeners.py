"""What follows once an effect is done and recorded: its failure is told, and undoes nothing."""

import sys
from collections.abc import Callable

from champion.core.errors import UserError
from champion.delivery import webhook as notify
from champion.environments import Environment
from champion.registry.ledger import Row
from champion.tracking import background_sync as mirror_later

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
