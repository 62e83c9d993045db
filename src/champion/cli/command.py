"""The common parts of all commands: they run in the root of the repository and share options."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from champion.core.errors import one_line_errors
from champion.repository.process import find_root

Env = Annotated[
    str | None, typer.Option("--env", help="The environment. By default the value of ENVIRONMENT, else development.")
]
Json = Annotated[bool, typer.Option("--json", help="Print only JSON.")]


class Command(TyperCommand):
    """A command that runs in the root of the repository and prints a `UserError` as one line.

    Its options are read before it changes to the root. So `resolve_path` resolves a path from the user's folder.
    """

    def invoke(self, ctx: Any) -> Any:
        with one_line_errors():
            os.chdir(find_root(Path.cwd()))
            return super().invoke(ctx)
