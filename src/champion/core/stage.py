"""The output of a long run: its progress, and the errors of a stage."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from champion.core.endings import no_memory, one_line_errors
from champion.core.errors import UserError


@contextmanager
def stage_errors(stage: str) -> Iterator[None]:
    """`one_line_errors`, plus how to restore the stage's old outputs, as DVC removes them before it runs a stage."""
    with one_line_errors():
        try:
            try:
                yield
            except MemoryError as error:
                raise UserError(f"the stage {stage}: {no_memory(error)}") from None
        except UserError as error:
            # DVC sets the variable. Without DVC, no output was removed.
            if "DVC_STAGE" not in os.environ:
                raise
            raise UserError(f"{error}\nNothing is lost: undo or correct your change, then run `dvc repro`.") from None


@contextmanager
def progress(what: str, *, line: bool = True) -> Iterator[Callable[[float], None]]:
    """Show progress: a moving bar with the time on a terminal; elsewhere one line on stdout, if `line` is set.

    The block gets a function that tells the bar which share is done.
    """
    if not sys.stderr.isatty():
        if line:
            print(f"{what} ...", flush=True)
        yield lambda share: None  # noqa: ARG005 - there is no bar
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda share: bar.update(task, total=1.0, completed=share)
