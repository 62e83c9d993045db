"""What a server says of its troubles: on stderr, and to the webhook if there is one."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Sequence
from typing import TextIO

from champion.core.errors import UserError
from champion.core.masking import masked
from champion.core.values import escaped
from champion.delivery import webhook


class Alerts:
    """The alerts of one environment's server. `troubles` are those that last."""

    def __init__(self, environment: str) -> None:
        self.troubles: set[str] = set()
        self._environment = environment

    def update(self, troubles: Sequence[str]) -> None:
        """Take over the troubles of now, and alert to each that begins."""
        for trouble in troubles:
            if trouble not in self.troubles:
                self.alert(trouble)
        self.troubles = set(troubles)

    def alert(self, text: str) -> None:
        """Print a warning, and send it to the webhook if there is one."""
        say(text)
        if os.environ.get(webhook.VARIABLE):
            message = f"the server of {self._environment} on {socket.gethostname()}: {text}"
            asyncio.get_running_loop().run_in_executor(None, _send, message)


def say(text: str) -> None:
    """Print a warning."""
    print_line(f"warning: {masked(escaped(text))}", sys.stderr)


def print_line(text: str, stream: TextIO) -> None:
    """Print a line; that nobody reads it any more must not end the server."""
    with contextlib.suppress(BrokenPipeError):
        print(text, file=stream, flush=True)


def _send(text: str) -> None:
    try:
        webhook.send(escaped(text))
    except UserError as error:
        say(str(error))
