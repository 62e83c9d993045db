"""What listens for an effect once it is done and recorded: a listener that fails is told, and undoes nothing."""

import sys
from collections.abc import Callable

from champion.core.errors import UserError
from champion.delivery import webhook
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.tracking import background_sync

LISTENERS: list[Callable[[Registry, Row], None]] = [webhook.tell, background_sync.start]


def follow(registry: Registry, row: Row) -> None:
    """Let every listener know of the row."""
    for listener in LISTENERS:
        try:
            listener(registry, row)
        except UserError as error:
            print(f"warning: {error}", file=sys.stderr)
        except Exception as error:
            # Whatever it was, the effect stands. Its text may hold an address that is a secret: only its kind is told.
            print(f"warning: {listener.__module__} could not follow ({type(error).__name__})", file=sys.stderr)
