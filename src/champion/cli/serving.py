"""The commands that answer: the server, who may ask it and which version a user gets, and whole files."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from champion.cli.command import Command, Env, Json, Reason, open_registry
from champion.cli.table import print_json, print_table
from champion.core.errors import UserError
from champion.core.values import escaped

if TYPE_CHECKING:
    from champion.delivery.switch import Switch
    from champion.registry.registry import Registry

PANEL = "Serving"

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel=PANEL)
keys = typer.Typer(help="Add, revoke and list the API keys of an environment's server.", no_args_is_help=True)
app.add_typer(keys, name="keys", rich_help_panel=PANEL)
key_command = partial(keys.command, cls=Command)

KeyName = Annotated[str, typer.Argument(help="The name of the key, such as the program that uses it.")]


@command()
def serve(
    env: Env = None,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 8080,
    workers: Annotated[
        int | None, typer.Option(help="The number of processes.", show_default="one per core", min=1, max=64)
    ] = None,
) -> None:
    """Answer requests with the version that an environment serves, and follow every switch, until Ctrl-C."""
    import asyncio
    from importlib.util import find_spec

    if os.name != "posix":
        raise UserError("`champion serve` needs Linux or macOS.")
    if find_spec("uvicorn") is None:
        raise UserError("the server needs more packages: `make setup GROUP=serving`.")
    from champion.delivery.supervisor import Supervisor, open_listener
    from champion.environments import load_environment
    from champion.registry.registry import Registry

    environment = load_environment(env)
    with open_listener(host, port) as listener:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        supervisor = Supervisor(lambda: Registry.open(environment), listener, workers or cores)
        asyncio.run(supervisor.run())


@command()
def demo(
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 8080,
) -> None:
    """Make a model, deliver it to a staging and a production in var/demo, serve it with traffic, until Ctrl-C.

    The traffic is the rows of the time after the model was made, with what became of them.
    """
    from champion.delivery.demo import demonstrate

    demonstrate(Path(), port)


@command()
def rollout(
    what: Annotated[str, typer.Argument(help="A percent of users such as 10 or 0.25, `stop` or `shadow`.")],
    version: Annotated[
        str | None, typer.Argument(help="The version that these users get, or that scores in the shadow.")
    ] = None,
    env: Env = None,
    flag: Annotated[str | None, typer.Option(help="A flag of config/flags.json.", show_default="new_model")] = None,
    reason: Reason = None,
) -> None:
    """Send a percent of users to another version, let one score all rows in the shadow, or stop both.

    A promotion, a deployment and a rollback stop it too.
    """
    from champion.delivery import rollout as rollouts

    if what in ("stop", "shadow") and flag is not None:
        raise UserError(f"`champion rollout {what}` concerns no single flag. Leave --flag out.")
    if what == "stop":
        if version is not None:
            raise UserError("`champion rollout stop` stops every rollout. Leave the version out.")
        registry = open_registry(env)
        switch = rollouts.stop(registry, reason)
    elif version is None:
        raise UserError(f"it needs a version, such as `champion rollout {what} v2`.")
    elif what == "shadow":
        registry = open_registry(env)
        switch = rollouts.shadow(registry, version, reason)
    else:
        percent = _percent(what)
        registry = open_registry(env)
        switch = rollouts.roll_out(registry, version, percent, flag or rollouts.FLAG, reason)
    _print(registry, switch)


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


@key_command("add")
def add_key(name: KeyName, env: Env = None) -> None:
    """Make a key and print it, once: only its hash is kept."""
    from champion.delivery.keys import add

    row, key = add(open_registry(env), name)
    typer.echo(f"{name} may call {row.environment}; this key is not shown again (ledger row {row.sequence})", err=True)
    typer.echo(key)


@key_command("revoke")
def revoke_key(name: KeyName, env: Env = None, reason: Reason = None) -> None:
    """Make a key invalid."""
    from champion.delivery.keys import revoke

    row = revoke(open_registry(env), name, reason)
    typer.echo(f"{name} may no longer call {row.environment} (ledger row {row.sequence})")


@key_command("list")
def list_keys(env: Env = None, as_json: Json = False) -> None:
    """List the keys: their names, since when they are valid, and who added them."""
    from champion.registry import history

    registry = open_registry(env)
    name = registry.environment.name
    found = history.key_additions(registry.rows, name)
    if as_json:
        print_json([{"name": key, "added": row.time, "by": row.actor} for key, row in found.items()])
    elif found:
        print_table(["name", "added (UTC)", "by"], [[key, row.time[:19], row.actor] for key, row in found.items()])
    else:
        typer.echo(f"{name} has no key. `champion keys add NAME --env {name}` makes one.")


def _percent(text: str) -> float:
    try:
        return float(text.removesuffix("%"))
    except ValueError:
        raise UserError(f"{text!r} is no percent of users, and neither `stop` nor `shadow`.") from None


def _print(registry: "Registry", switch: "Switch") -> None:
    from champion.registry import rollouts

    row, name = switch.row, registry.environment.name
    where = switch.note or f"ledger row {row.sequence}"
    if not rollouts.is_on(row):
        told = f"answers everybody with {row.from_version}" if switch.changed else "has nothing to stop"
        typer.echo(escaped(f"{name} {told} ({where})"))
        return
    already, since = ("", "") if switch.changed else ("already ", f", since {row.time[:19]} UTC")
    shares = [f"{percent:g}% of users to {to} by {flag}" for flag, (percent, to) in rollouts.shares(row).items()]
    told = f"sends {', '.join([*shares, ''])}and all others to {row.from_version}" if shares else ""
    if (shadow := rollouts.shadow(row)) is not None:
        told = f"{told}; {shadow}" if told else f"answers everybody with {row.from_version}; {shadow}"
        told += " scores all rows in the shadow"
    typer.echo(escaped(f"{name} {already}{told}{since} ({where})"))
