"""The commands about what a server answered."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from champion.cli.command import Command, Env, Reason, open_registry
from champion.core.errors import UserError
from champion.core.values import escaped

app = typer.Typer()
predictions = typer.Typer(help="Export what a server answered, and erase what it has of a user.", no_args_is_help=True)
app.add_typer(predictions, name="predictions", rich_help_panel="Serving")
command = partial(predictions.command, cls=Command)


@partial(app.command, cls=Command, rich_help_panel="Serving")("outcomes")
def add_outcomes(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="A Parquet or CSV file with the columns request_id, date and, for requests of many rows, row.",
            resolve_path=True,
        ),
    ],
    complete_through: Annotated[
        str | None, typer.Option(help="The day, such as 2026-10-31, up to which all events have been said.")
    ] = None,
    env: Env = None,
) -> None:
    """Say when the events of answered rows happened, as `POST /v1/outcomes` does."""
    from datetime import date

    from champion.environments import load_environment
    from champion.predictions.log import PredictionLog
    from champion.predictions.outcomes import add_outcomes as add

    try:
        through = None if complete_through is None else date.fromisoformat(complete_through)
    except ValueError:
        raise UserError(f"{complete_through!r} is no day such as 2026-10-31.") from None
    environment = load_environment(env)
    count = add(PredictionLog.open(environment), source, through)
    typer.echo(escaped(f"{count:,} outcomes are in {environment.name}'s prediction log"))


Moment = Annotated[str | None, typer.Option(help="A time such as 2026-11-03 or 2026-11-03T12:00, in UTC.")]


@command()
def export(
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="The Parquet file to write.", dir_okay=False, resolve_path=True)
    ],
    since: Moment = None,
    until: Moment = None,
    env: Env = None,
) -> None:
    """Write the prediction log to a Parquet file: the rows from --since on and before --until, sorted by time."""
    from champion.environments import load_environment
    from champion.predictions.export import export as export_log
    from champion.predictions.log import PredictionLog
    from champion.registry.history import parse_moment

    environment = load_environment(env)
    first, last = (None if one is None else parse_moment(one) for one in (since, until))
    count = export_log(PredictionLog.open(environment), target, first, last)
    typer.echo(escaped(f"{count:,} rows of {environment.name} are in {target.name}"))


@command()
def erase(
    user: Annotated[str, typer.Option(help="The user's id, as the requests had it.")],
    env: Env = None,
    reason: Reason = None,
) -> None:
    """Remove what the prediction log has of one user. The ledger records that, without the user."""
    from champion.delivery.erasure import erase as erase_user

    row = erase_user(open_registry(env), user, reason)
    typer.echo(
        f"{row.details['rows']:,} rows erased from {row.environment}'s prediction log (ledger row {row.sequence})"
    )
