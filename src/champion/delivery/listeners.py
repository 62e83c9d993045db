"""Listeners that run after an action is done and recorded. If one fails, a warning says so; nothing is undone."""

from collections.abc import Callable

from champion.core.errors import UserError, warn
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
            warn(str(error))
        except Exception as error:
            # The action stays done. Only the error's type is shown, because its text may hold a secret address.
            warn(f"{listener.__module__} failed ({type(error).__name__})")
