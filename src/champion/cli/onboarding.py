"""The commands for a repository of one's own: its table, and later releases of Champion."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from champion.cli.command import Command
from champion.core.errors import UserError

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Pipeline")


def _resolve(table: str | None) -> str | None:
    """The file that a user named from the own folder; the name of a table of a database stays."""
    return str(Path(table).resolve()) if table is not None and Path(table).exists() else table


@command()
def init(
    table: Annotated[
        str | None,
        typer.Argument(callback=_resolve, help="A CSV or Parquet file, or a table of CHAMPION_SOURCE_URL's database."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column with the outcome.")] = None,
    date: Annotated[str | None, typer.Option(help="The column with the date of a row.")] = None,
    key: Annotated[str | None, typer.Option("--id", help="The column with the key of a row.")] = None,
    group: Annotated[str | None, typer.Option(help="The column whose equal values stand together.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="A column to leave out; can be repeated.")] = None,
    positive: Annotated[list[str] | None, typer.Option(help="A value that counts as 1; can be repeated.")] = None,
    negative: Annotated[list[str] | None, typer.Option(help="A value that counts as 0; can be repeated.")] = None,
    horizon: Annotated[
        str | None, typer.Option(help="When the outcome is known after the row's date: months such as 24, or 30d.")
    ] = None,
    decimal: Annotated[str | None, typer.Option(help="The mark before the decimals of a number.")] = None,
    thousands: Annotated[str | None, typer.Option(help="The mark between groups of digits.")] = None,
    date_format: Annotated[str | None, typer.Option(help="How dates are written, such as %d.%m.%Y.")] = None,
    encoding: Annotated[str | None, typer.Option(help="The encoding of a CSV file, such as cp1252.")] = None,
    separator: Annotated[str | None, typer.Option(help="The separator of a CSV file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace params.yaml and the results without asking.")] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Only confirm the inferred limits: from then on, a breach is an error.")
    ] = False,
) -> None:
    """Write params.yaml for a table of your own, from what is found in it. Then `dvc repro` makes its model."""
    from champion.core.stage import progress
    from champion.onboarding.confirm import confirm_limits
    from champion.onboarding.given import Given, parse_form, parse_horizon
    from champion.onboarding.init import examine, replace_table
    from champion.onboarding.summary import summarise

    if confirm:
        if table is not None or target is not None:
            raise UserError("--confirm reads params.yaml alone. Give it without a table.")
        names = confirm_limits(Path())
        typer.echo(f"params.yaml: confirmed {', '.join(names)}" if names else "params.yaml: no limit is unconfirmed")
        return
    if table is None or target is None:
        raise UserError("give a table and its target, such as `champion init loans.csv --target defaulted`.")
    given = Given(
        target,
        date,
        key,
        group,
        tuple(ignore or ()),
        tuple(positive or ()),
        tuple(negative or ()),
        parse_horizon(horizon),
        parse_form(decimal, thousands, date_format),
        encoding,
        separator,
    )
    with progress(f"looking at {Path(table).name}", line=False):
        proposal = examine(Path(), table, given)
    typer.echo(summarise(proposal))
    if not force:
        typer.confirm("Replace params.yaml, and remove dvc.lock and metrics/ of the table before?", abort=True)
    for removed in replace_table(Path(), table, proposal, force=force):
        typer.echo(f"removed: {removed}")
    if Path(table).is_file():
        typer.echo(
            f"data/source/{Path(table).name}: the table. `dvc add` keeps it out of git if it is large or secret."
        )
    typer.echo("params.yaml: written. Look at it, then run `dvc repro`.")


@command()
def update(
    release: Annotated[str, typer.Argument(help="A tag or commit of Champion that git has here, such as v0.2.0.")],
) -> None:
    """Merge a later release of Champion. What you changed in params.yaml, config/, own/, data/ and results stays."""
    from champion.repository.later_release import take_release

    merged = take_release(Path(), release)
    for path in merged.kept:
        change = f"git diff {merged.start[:12]} {release} -- {path}"
        typer.echo(f"kept as yours: {path} (`{change}` shows what the release changed in it)")
    if merged.conflicts:
        raise UserError(
            f"in conflict: {', '.join(merged.conflicts)}. You changed these files of Champion, and so did {release}: "
            "resolve them, `git add` them, and commit. `git merge --abort` goes back."
        )
    typer.echo(f"{release} is merged and committed. Now run `make setup`, `champion check` and `dvc repro`.")
