"""What every command shares: it runs in the root of the repository, and has the same options."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from champion.core.errors import one_line_errors
from champion.repository.process import find_root

Env = Annotated[
    str | None, typer.Option("--env", help="An environment; else the one that ENVIRONMENT names, else development.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


class Command(TyperCommand):
    """A command that runs in the root of the repository, and tells a user's mistake in one sentence.

    Its options are read before, so that a path with `resolve_path` is from the folder where the user is.
    """

    def invoke(self, ctx: Any) -> Any:
        with one_line_errors():
            os.chdir(find_root(Path.cwd()))
            return super().invoke(ctx)
