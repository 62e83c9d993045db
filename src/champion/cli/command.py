"""The common parts of all commands: they run in the root of the repository and share options."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from champion.core.endings import one_line_errors
from champion.core.errors import UserError
from champion.core.values import is_blank
from champion.repository.process import find_root

if TYPE_CHECKING:
    from champion.registry.registry import Registry

Env = Annotated[
    str | None,
    typer.Option(
        "--env", help="The environment. By default the value of ENVIRONMENT, else (also if it is empty) development."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print only JSON.")]
VersionName = Annotated[str, typer.Argument(help="A version such as v3, or an alias.")]


class Command(TyperCommand):
    """A command that runs in the root of the repository and prints a `UserError` as one line.

    Its options are read before it changes to the root. So `resolve_path` resolves a path from the user's folder.
    """

    def invoke(self, ctx: Any) -> Any:
        with one_line_errors(), _told_if_missing():
            os.chdir(find_root(Path.cwd()))
            return super().invoke(ctx)


@contextmanager
def _told_if_missing() -> Iterator[None]:
    """Turn the lack of a package into a `UserError`: a smaller environment has the packages of some commands only."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "champion":
            raise
        raise UserError(
            f"this command needs the Python package {package!r}, which is not installed here. `make setup` installs "
            "all that the pipeline needs."
        ) from None


def open_registry(env: str | None) -> "Registry":
    """The registry of the environment, or of the one that ENVIRONMENT names."""
    from champion.environments import load_environment
    from champion.registry.registry import Registry

    return Registry.open(load_environment(env))


def refuse_blank(reason: str | None) -> str | None:
    """The reason. Raises `BadParameter` when it is blank."""
    if reason is not None and is_blank(reason):
        raise typer.BadParameter("it is blank. Write a reason that other people understand.")
    return reason


Reason = Annotated[str | None, typer.Option(help="The reason, for the ledger.", callback=refuse_blank)]
