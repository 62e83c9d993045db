"""The commands for tracking and experiments in MLflow."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from champion.cli.command import Command, Env, Json
from champion.cli.table import number, print_json, print_table
from champion.core.errors import UserError

PANEL = "Experiments"

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel=PANEL)
experiments = typer.Typer(help="Try parameter sets and compare the tracked runs.", no_args_is_help=True)
app.add_typer(experiments, name="experiments", rich_help_panel=PANEL)


@command()
def track(env: Env = None) -> None:
    """Log the result of `dvc repro` to MLflow, once: params, metrics, data, lineage, plots, card and model."""
    from pathlib import Path

    from champion.core.stage import progress
    from champion.environments import load_environment
    from champion.tracking.result import read_result
    from champion.tracking.runs import track as track_result

    with progress("logging the result to MLflow", line=False):
        tracked = track_result(load_environment(env), read_result(Path()))
    typer.echo(
        f"{tracked.name}: {'tracked' if tracked.new else 'this result was already tracked'}, run {tracked.run_id}"
    )


@command()
def mirror(env: Env = None) -> None:
    """Update the versions and aliases in MLflow's registry from the ledger. Every delivery command also starts this."""
    from champion.environments import load_environment
    from champion.registry.registry import Registry
    from champion.tracking.registry_sync import apply

    done = apply(Registry.open(load_environment(env)))
    typer.echo("\n".join(done) if done else "MLflow has the same versions and aliases as the ledger")


@command()
def ui(
    env: Env = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port, on this machine only.")] = 5000,
) -> None:
    """Serve MLflow's web page for the environment's SQLite store until Ctrl-C."""
    from champion.environments import load_environment
    from champion.tracking.ui import serve

    serve(load_environment(env), port, typer.echo)


@experiments.command(cls=Command)
def run(
    sets: Annotated[
        list[str] | None,
        typer.Option("-S", "--set", help="One set, such as train.max_depth=10,train.seed=1; repeat it for more sets."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(help="Run all combinations, such as 'train.max_depth=5,10 train.seed=1,2'."),
    ] = None,
    env: Env = None,
) -> None:
    """Run and track each set with `dvc exp run`; your files do not change. To continue after a stop, run it again."""
    from pathlib import Path

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from champion.environments import load_environment
    from champion.experiments.parameter_sets import checked, parse
    from champion.experiments.sweep import run as run_sets

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    environment = load_environment(env)
    given = parse(sets or [], grid or [])
    full = checked(Path(), given)
    failed = done = 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(full))
        try:
            for outcome in run_sets(environment, full, lambda _, one: progress.update(task, description=",".join(one))):
                done += 1
                failed += bool(outcome.failure)
                progress.advance(task)
                told = outcome.failure or f"ROC AUC {number((outcome.metrics or {}).get('roc_auc'))}"
                again = " (run before)" if outcome.before else ""
                line = f"{done}/{len(full)}  {outcome.name}  {','.join(given[done - 1])}  {told}{again}"
                progress.console.print(line, markup=False, highlight=False) if console.is_terminal else typer.echo(line)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted after {done} of {len(full)} sets. Run the same command again to continue."
            ) from None
    if failed:
        raise UserError(f"{failed} of {len(full)} sets failed. Run the same command again to retry them.")
    typer.echo("`champion experiments compare` ranks them")


@experiments.command(cls=Command)
def compare(
    metric: Annotated[str, typer.Option(help="The metric to rank by.")] = "roc_auc",
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many runs to show.")] = 10,
    env: Env = None,
    as_json: Json = False,
) -> None:
    """Rank the tracked runs by a metric, show the best run with its params, and say how to apply it."""
    from champion.environments import load_environment
    from champion.experiments.leaderboard import adoption, best

    environment = load_environment(env)
    board = best(environment, metric, top)
    winner = board.entries[0]
    if as_json:
        runs = [
            {
                "name": entry.name,
                "run_id": entry.run.info.run_id,
                "value": entry.value,
                "params": entry.model | entry.differing,
            }
            for entry in board.entries
        ]
        adopt = adoption(environment.root, winner.run)
        print_json({"metric": metric, "runs": runs, "take_over": adopt, "other_rows_left_out": board.others})
        return
    lines = [
        [
            str(place),
            entry.name,
            f"{entry.value:.6f}",
            ", ".join(f"{_short(name, board.differing)}={value}" for name, value in entry.differing.items()),
        ]
        for place, entry in enumerate(board.entries, start=1)
    ]
    print_table(["place", "run", metric, "where they differ"], lines)
    typer.echo(f"best by {metric}: {winner.name}, {winner.value:.6f}")
    for name, value in (winner.model | winner.differing).items():
        typer.echo(f"  {name}: {value}")
    typer.echo(f"to apply it: {adoption(environment.root, winner.run)}")
    if board.others:
        typer.echo("runs with other test rows are not shown, because their metrics cannot be compared")


def _short(name: str, names: Sequence[str]) -> str:
    """The last part of a param's name if it is unique among the names, else the whole name."""
    last = name.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in names) == 1 else name
