"""The commands of continuous training."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from champion.cli.command import Command, Env
from champion.core.errors import UserError

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Retraining")


@command()
def retrain(
    step: Annotated[
        str | None,
        typer.Argument(
            help="Only this step: extract, prepare, validate, train, evaluate, compare or deploy. By default all."
        ),
    ] = None,
    env: Env = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="A date. By default, or if empty, the day after the newest row, at most today."),
    ] = None,
    new_champion: Annotated[
        Path | None,
        typer.Option(resolve_path=True, help="Write the version's name to this file if it is the champion now."),
    ] = None,
) -> None:
    """Train on what is known now, challenge the champion, and deploy a winner through staging.

    Its seven steps run from the default branch, in a working tree of their own. Each can be run again.
    """
    from champion.core.files import replacing
    from champion.environments import load_environment
    from champion.retraining.as_of import parse_as_of
    from champion.retraining.retrain import STEPS
    from champion.retraining.retrain import retrain as take
    from champion.retraining.steps import Retraining

    if step is not None and step not in STEPS:
        raise UserError(f"there is no step {step!r}. Choose one of {', '.join(STEPS)}.")
    # A workflow gives an empty text where nobody gave a date.
    day = parse_as_of(as_of) if as_of else None
    run = take(Retraining(load_environment(env), day), [step] if step else list(STEPS))
    if new_champion is not None and run.version is not None and run.result in ("won", "deployed"):
        with replacing(new_champion) as draft:
            draft.write_text(run.version, encoding="utf-8")


@command()
def propose(
    version: Annotated[str, typer.Argument(help="A version or an alias.")] = "champion", env: Env = None
) -> None:
    """Open a pull request at GitHub that brings a retrained version to the default branch."""
    from champion.environments import load_environment
    from champion.registry.registry import Registry
    from champion.retraining.publication import propose as open_pull_request

    registry = Registry.open(load_environment(env))
    found = registry.resolve(version)
    address = open_pull_request(found, registry.environment.name)
    typer.echo(f"pull request: {address}" if address else f"no branch of a retraining made {found.name}")


@command()
def replay(
    jobs: Annotated[
        int | None, typer.Option(min=1, help="How many stages run at the same time. By default one for each core.")
    ] = None,
) -> None:
    """Replay retraining on the history of the table, by several policies, and compare what each would have been worth.

    It runs the stages of replay/dvc.yaml whose inputs changed. Settings: replay/params.yaml.
    """
    from champion.retraining.replay.run import replay as run
    from champion.retraining.replay.summary import compare_policies, describe_policies

    ran = run(Path(), jobs)
    typer.echo(f"{ran} stages ran" if ran else "nothing to run: no input changed")
    typer.echo(describe_policies(compare_policies(Path())))


@command()
def airflow(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port, on this machine only.")] = 8080,
) -> None:
    """Run Airflow with the DAG in dags/ on this machine until Ctrl-C. `make airflow` installs it first."""
    from champion.retraining.airflow import serve

    serve(Path(), port, typer.echo)
