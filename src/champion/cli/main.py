"""The `champion` command."""

from typing import Annotated

import typer

from champion.cli.contest import app as contest
from champion.cli.data import app as data
from champion.cli.delivery import app as delivery
from champion.cli.experiments import app as experiments
from champion.cli.monitoring import app as monitoring
from champion.cli.onboarding import app as onboarding
from champion.cli.pipeline import app as pipeline
from champion.cli.predictions import app as predictions
from champion.cli.registry import app as registry
from champion.cli.retraining import app as retraining
from champion.cli.serving import app as serving

app = typer.Typer(
    help="""Make a model with `dvc repro`, check it, and deliver it.

Start here:
  champion check      is params.yaml valid?
  dvc repro           run the pipeline
  champion gate       is the model good enough?
  champion report     how does your change affect the model?""",
    epilog="Exit status: 0 means done or yes, 1 no or an error, 2 wrong usage, 10 a retraining is due, 130 Ctrl-C.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (
    pipeline,
    onboarding,
    data,
    contest,
    delivery,
    registry,
    serving,
    predictions,
    monitoring,
    retraining,
    experiments,
):
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
    """Options without a command."""
