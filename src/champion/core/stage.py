"""A stage as a program: what it says while it works, and when it cannot go on."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from champion.core.errors import UserError, one_line_errors


@contextmanager
def stage_errors() -> Iterator[None]:
    """`one_line_errors`, and how to get back what the stage had, which DVC removes before it runs a stage."""
    with one_line_errors():
        try:
            yield
        except UserError as error:
            # Set by DVC. Who runs the module by hand has lost nothing.
            if "DVC_STAGE" not in os.environ:
                raise
            raise UserError(
                f"{error}\nNothing is lost: put back what you changed, or correct it, and run `dvc repro`."
            ) from None


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say what is going on: by a moving bar with the time on a terminal, by one line elsewhere."""
    if not sys.stderr.isatty():
        print(f"{what} ...", flush=True)
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(what, total=None)
        yield
