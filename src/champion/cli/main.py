"""The `champion` command: a few lines over functions that can be called from Python."""

from typing import Annotated

import typer

from champion.cli.data import app as data
from champion.cli.delivery import app as delivery
from champion.cli.experiments import app as experiments
from champion.cli.pipeline import app as pipeline

app = typer.Typer(
    help="""Make a model with `dvc repro`, prove it, and deliver it.

Start here:
  champion check      is params.yaml valid?
  dvc repro           run the pipeline
  champion gate       is the model good enough?
  champion report     what does your change do to the model?""",
    epilog="Exit status: 0 done, or yes. 1 no, or a mistake that the message names. 2 wrong usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (pipeline, data, delivery, experiments):
    app.add_typer(group)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"champion {version('champion')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Nothing is done before the command."""
