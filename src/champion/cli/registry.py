"""The commands that read the record of deliveries, and keep it trustworthy."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from champion.cli.command import Command, Env, Json, VersionName, open_registry, refuse_blank
from champion.cli.table import number, print_json, print_table
from champion.core.errors import UserError
from champion.core.values import escaped

if TYPE_CHECKING:
    from champion.registry.chain import Row
    from champion.registry.registry import Registry

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Delivery")


@command()
def versions(env: Env = None, as_json: Json = False) -> None:
    """List every version with its aliases and metrics."""
    from champion.delivery.findings import findings_of
    from champion.registry import history, standing

    registry = open_registry(env)
    found = history.versions(registry.rows)
    findings = {name: [row.sequence for row in findings_of(registry, registry.rows, name)] for name in found}
    named = standing.aliases(registry.rows, registry.sharing)
    aliases = {name: [alias for alias, of in named.items() if of == name] for name in found}
    retired = standing.retirements(registry.rows)
    if as_json:
        print_json(
            [
                {
                    "version": name,
                    "registered": version.registered,
                    "model_sha256": version.model_sha256,
                    "git_commit": version.git_commit,
                    "metrics": version.metrics,
                    "aliases": aliases[name],
                    "retired": name in retired,
                    "open_findings": findings[name],
                }
                for name, version in found.items()
            ]
        )
    elif found:
        lines = [
            [
                f"{name} (retired)" if name in retired else name,
                version.registered[:19],
                version.model_sha256[:12],
                *(number(version.metrics.get(metric)) for metric in ("roc_auc", "f1_weighted", "brier_skill")),
                ", ".join(aliases[name]),
                ", ".join(f"row {sequence}" for sequence in findings[name]),
            ]
            for name, version in found.items()
        ]
        titles = ["version", "registered (UTC)", "sha256", "ROC AUC", "F1", "Brier skill", "aliases", "open findings"]
        print_table(titles, lines)
    else:
        env = registry.environment.name
        typer.echo(f"no version is registered in {_ledger(registry)}. `champion register --env {env}` adds the first.")


@command()
def show(version: VersionName, env: Env = None) -> None:
    """Show all data about a version, as JSON."""
    from dataclasses import asdict

    from champion.delivery.findings import findings_of
    from champion.registry import history

    registry = open_registry(env)
    name = registry.resolve(version).name
    findings = [asdict(row) for row in findings_of(registry, registry.rows, name)]
    print_json(asdict(history.registration(registry.rows, name)) | {"open_findings": findings})


@command()
def status(
    env: Annotated[str | None, typer.Option("--env", help="One environment. By default all of them.")] = None,
    as_json: Json = False,
) -> None:
    """Show what every environment serves, since when, by whom, and its smoke test; exit 1 if one cannot be read."""
    from dataclasses import asdict

    from champion.environments import load_environment, load_environments
    from champion.registry.served import status_of

    environments = load_environments() if env is None else {env: load_environment(env)}
    found = {name: status_of(environment) for name, environment in environments.items()}
    if as_json:
        print_json([{"environment": name} | asdict(one) for name, one in found.items()])
    else:
        tested = {None: "not run", True: "passed", False: "FAILED"}
        lines = [
            [
                name,
                one.version or ("none" if one.readable else "?"),
                one.since or "",
                one.actor or "",
                tested[one.smoke_passed] if one.version else "",
                one.note or "",
            ]
            for name, one in found.items()
        ]
        print_table(["environment", "version", "since (UTC)", "by", "smoke test", "note"], lines)
    unreadable = [name for name, one in found.items() if not one.readable]
    if unreadable:
        raise UserError(f"{' and '.join(unreadable)} cannot be read. The note says why; --env shows one alone.")


@command()
def history(
    env: Env = None,
    at: Annotated[
        str | None, typer.Option("--at", help="A time such as 2026-11-03T12:00; without a zone it is UTC.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show all ledger rows of an environment, with emergencies marked, or what it served at a time."""
    from dataclasses import asdict

    from champion.registry import history as record

    registry = open_registry(env)
    rows, name = registry.rows, registry.environment.name
    if at is None:
        found = record.events(rows, name)
        if as_json:
            print_json([asdict(row) for row in found])
        elif found:
            print_table(
                ["row", "time (UTC)", "action", "version", "from", "result", "by", "commit", "reason"],
                [_line(row) for row in found],
            )
        else:
            typer.echo(f"nothing happened yet in {_ledger(registry)}. `champion register --env {name}` starts it.")
        return
    row = record.live_at(rows, name, record.moment(at))
    if as_json:
        print_json(None if row is None else asdict(row))
    elif row is None:
        typer.echo(f"{name} served nothing at {at}")
    else:
        typer.echo(
            escaped(
                f"{name} served {row.version} at {at}: {row.action} on {row.time[:19]} UTC by {row.actor} "
                f"(row {row.sequence}, sha256 {row.model_sha256})"
            )
        )


@command()
def audit(env: Env = None) -> None:
    """Compare ledger, registry, stores and MLflow's aliases; list all differences, and exit non-zero if any."""
    from champion.delivery.audit import differences
    from champion.registry.chain import ACCEPT
    from champion.tracking.client import in_use

    registry = open_registry(env)
    found = differences(registry)
    if found:
        raise UserError(f"{len(found)} differences:\n  " + "\n  ".join(map(escaped, found)))
    names = ", ".join(registry.sharing)
    used = in_use(registry.environment)
    aliases = "MLflow's aliases agree" if used else "MLflow is not in use"
    accepted = [str(row.sequence) for row in registry.rows if row.action == ACCEPT]
    but = f" (breaks accepted in row {' and '.join(accepted)})" if accepted else ""
    typer.echo(f"no difference: {len(registry.rows)} ledger rows{but}, registry and stores ({names}) agree; {aliases}")


@command("accept-break")
def accept_break(
    reason: Annotated[str, typer.Option(help="The reason, for the ledger.", callback=refuse_blank)],
    env: Env = None,
) -> None:
    """Accept all breaks of the ledger, in a row that names them. Then commands can write again."""
    from champion.delivery.audit import accept_breaks

    row = accept_breaks(open_registry(env), reason)
    typer.echo(f"ledger row {row.sequence} accepts:\n  " + "\n  ".join(map(escaped, row.details["breaks"])))


@command("ledger-key")
def ledger_key(
    output: Annotated[
        Path | None,
        typer.Option(resolve_path=True, show_default="var/ledger.key", help="A new file for the private key."),
    ] = None,
) -> None:
    """Make a key pair to sign ledger rows: write the private key to a file, and print the public key."""
    from champion.registry.signing import KEYS, VARIABLE, new_key, write_private_key

    private, public = new_key()
    output = output or Path("var/ledger.key")
    write_private_key(output, private)
    typer.echo(
        f"public key:  {public}\n  add it to {KEYS}, for every environment that shares the ledger, and commit that\n"
        f"private key: in {output}\n  make its content the secret {VARIABLE} where `champion` writes, then delete it"
    )


def _ledger(registry: "Registry") -> str:
    """The environment and its ledger, for a command that found no rows there."""
    return f"{registry.environment.name} (its ledger is {registry.ledger.address})"


def _line(row: "Row") -> list[str]:
    from champion.registry import api_keys, rollouts

    action = f"{row.action}, EMERGENCY" if row.is_emergency else row.action
    result = row.result
    if row.action == rollouts.ROLL_OUT:
        result = rollouts.describe(row)
    elif row.action in api_keys.ACTIONS:
        result = row.details["name"]
    what = [row.version, row.from_version, result, row.actor, (row.git_commit or "")[:9], row.reason]
    return [str(row.sequence), row.time[:19], action, *(text or "" for text in what)]
