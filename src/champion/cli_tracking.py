"""The commands around MLflow: a few lines each over `champion.delivery` and `champion.experiments`."""

from typing import Annotated

import typer

from champion.errors import told_plainly

app = typer.Typer()

Env = Annotated[str | None, typer.Option("--env", help="An environment; by default the one that ENVIRONMENT names.")]


@app.command()
def track(env: Env = None) -> None:
    """Log to MLflow what `dvc repro` left: params, metrics, data, lineage, plots, card, model; once per result."""
    from pathlib import Path

    from champion.delivery.tracking import read_result
    from champion.delivery.tracking import track as track_result
    from champion.environments import load_environment

    with told_plainly():
        tracked = track_result(load_environment(env), read_result(Path()))
        typer.echo(
            f"{tracked.name}: {'tracked' if tracked.new else 'this result was tracked before'}, run {tracked.run_id}"
        )


@app.command()
def mirror(env: Env = None) -> None:
    """Bring the versions and aliases of MLflow's registry up to the ledger, as every delivery does by itself."""
    from champion.delivery.mirror import apply
    from champion.environments import load_environment

    with told_plainly():
        done = apply(load_environment(env))
        typer.echo("\n".join(done) if done else "MLflow has every version and alias as the ledger does")


@app.command()
def ui(
    env: Env = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it listens, on this machine only.")] = 5000,
) -> None:
    """Open MLflow's page for the environment's SQLite store, until Ctrl-C."""
    from champion.delivery.mlflow_page import serve
    from champion.environments import load_environment

    with told_plainly():
        serve(load_environment(env), port, typer.echo)
