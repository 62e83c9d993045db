"""Listeners that run after an action is done and recorded. If one fails, a warning says so; nothing is undone."""

import sys
from collections.abc import Callable

from champion.core.errors import UserError
from champion.delivery import webhook
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.tracking import background_sync

LISTENERS: list[Callable[[Registry, Row], None]] = [webhook.tell, background_sync.start]


def follow(registry: Registry, row: Row) -> None:
    """Call every listener with the row."""
    for listener in LISTENERS:
        try:
            listener(registry, row)
        except UserError as error:
            print(f"warning: {error}", file=sys.stderr)
        except Exception as error:
            # The action stays done. Only the error's type is shown, because its text may hold a secret address.
            print(f"warning: {listener.__module__} failed ({type(error).__name__})", file=sys.stderr)
