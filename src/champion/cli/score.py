"""The command that scores the rows of a file."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from champion.cli.command import Command, Env, open_registry
from champion.core.values import escaped

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Serving")


def _from_here(name: str) -> str:
    """An address as it is, and a path from the folder where the user is."""
    return name if "://" in name else str(Path(name).absolute())


@command()
def score(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A Parquet or CSV file, local or s3://.", callback=_from_here)
    ],
    target: Annotated[
        str,
        typer.Argument(metavar="OUT", help="The file to write, Parquet or CSV, local or s3://.", callback=_from_here),
    ],
    version: Annotated[
        str | None,
        typer.Option("--version", help="A version such as v3, or an alias. By default what the environment serves."),
    ] = None,
    env: Env = None,
) -> None:
    """Score every row of a file with a registered version, without its server.

    OUT has a row for each row of IN, in the same order. A run that was killed goes on when it is started again.
    """
    # Arrow reads this when it is imported. Its own allocator keeps a hundred megabytes that nothing uses.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from champion.serving.batch import score as score_file

    done = score_file(open_registry(env), source, target, version, lambda line: typer.echo(escaped(line)))
    typer.echo(
        f"{done.rows:,} rows scored with {done.version}: {done.out_of_scope:,} out of scope, {done.emptied:,} invalid "
        f"values emptied, {done.seconds:.1f} s, {done.rows / done.seconds:,.0f} rows a second"
    )
