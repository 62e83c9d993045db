"""What the supervisor tells a worker at its start."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Orders:
    """The worker's number of so many, the folder of the state, two open sockets, and the environment's settings.

    Requests come by the `listener`. The `channel` leads to the supervisor. Answers are kept in the `spool` if there is
    one; then the first line of the channel has the key of the users' pseudonyms, as hexadecimal digits.
    """

    worker: int
    workers: int
    folder: str
    listener: int
    channel: int
    settings: dict[str, Any]
    spool: str | None
    predictions: dict[str, Any]
