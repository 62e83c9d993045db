"""Delivery's commands: a few lines each over `champion.delivery`."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from champion.cli.command import Command, Env, Json
from champion.cli.table import number, print_json, print_table
from champion.core.errors import UserError

if TYPE_CHECKING:
    from champion.registry.chain import Row
    from champion.registry.registry import Registry

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Delivery")

VersionName = Annotated[str, typer.Argument(help="A version such as v3, or an alias.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the ledger.")]


@command()
def register(env: Env = None) -> None:
    """Make the model that `dvc repro` left an immutable version; the same model stays the same version."""
    from champion.delivery.register import register as register_model

    version, new = register_model(_open(env))
    what = "registered" if new else "this model was registered before"
    typer.echo(f"{version.name}: {what}, {version.model_sha256}")


@command()
def versions(env: Env = None, as_json: Json = False) -> None:
    """List every version with its aliases and metrics."""
    from champion.registry import history

    registry = _open(env)
    found = history.versions(registry.rows)
    named = history.aliases(registry.rows, registry.sharing)
    aliases = {name: [alias for alias, of in named.items() if of == name] for name in found}
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
                }
                for name, version in found.items()
            ]
        )
    elif found:
        lines = [
            [
                name,
                version.registered[:19],
                version.model_sha256[:12],
                *(number(version.metrics.get(metric)) for metric in ("roc_auc", "f1_weighted", "brier_skill")),
                ", ".join(aliases[name]),
            ]
            for name, version in found.items()
        ]
        print_table(["version", "registered (UTC)", "sha256", "ROC AUC", "F1", "Brier skill", "aliases"], lines)
    else:
        env = registry.environment.name
        typer.echo(f"no version is registered in {_ledger(registry)}. `champion register --env {env}` makes the first.")


@command()
def show(version: VersionName, env: Env = None) -> None:
    """Show everything that is known of a version, as JSON."""
    from dataclasses import asdict

    from champion.registry import history

    registry = _open(env)
    print_json(asdict(history.registration(registry.rows, registry.resolve(version).name)))


@command()
def challenge(
    version: Annotated[
        str | None, typer.Argument(help="The challenger: by default the newest version, which may be champion already.")
    ] = None,
    env: Env = None,
    as_json: Json = False,
) -> None:
    """Judge a version against the champion, on held-out rows that neither trained on; exit non-zero when it loses."""
    from champion.core.stage import progress
    from champion.delivery.challenge import challenge as judge
    from champion.delivery.challenge import unchallenged

    registry = _open(env)
    if version is None and (champion := unchallenged(registry)):
        if as_json:
            print_json(_judgement(None, champion))
        else:
            typer.echo(f"{champion} is champion already, and the newest version: there is nothing to judge")
        return
    with progress("comparing the challenger with the champion", line=False):
        verdict = judge(registry, version or "challenger")
    row = verdict.row
    if as_json:
        print_json(
            _judgement(row.version, row.from_version, verdict.won, verdict.reasons, row.details.get("comparison"))
        )
    elif verdict.comparison is not None:
        _print_comparison(row, verdict.comparison)
    if not verdict.won:
        raise UserError(f"{row.version} does not become champion:\n  " + "\n  ".join(verdict.reasons))
    if not as_json:
        instead = f" instead of {row.from_version}" if row.from_version else ": the first needs only gates"
        typer.echo(f"{row.version} is champion{instead}")


@command()
def ready(version: VersionName = "champion", env: Env = None) -> None:
    """Smoke test a version in the registry, before it is deployed; exit non-zero when it fails."""
    from champion.delivery.deployment import ready as examine

    found, report = examine(_open(env), version)
    if not report.passed:
        raise UserError(f"{found.name} is not ready:\n  " + "\n  ".join(report.failures))
    typer.echo(f"{found.name} is ready: {report.examples} examples answered as at registration")


@command()
def deploy(version: VersionName, env: Env = None) -> None:
    """Serve a version in an environment that takes any; its smoke test is `champion smoke`."""
    from champion.delivery.deployment import deploy as deploy_version

    _print_switch(deploy_version(_open(env), version))


@command()
def smoke(
    env: Env = None,
    or_roll_back: Annotated[bool, typer.Option("--or-roll-back", help="Roll back when it fails.")] = False,
) -> None:
    """Test what an environment serves: it loads by hash and answers its stored examples as at registration."""
    from champion.delivery.deployment import rollback as roll_back
    from champion.delivery.deployment import smoke_test

    registry = _open(env)
    row, report = smoke_test(registry)
    if not report.passed:
        failures = "\n  ".join(report.failures)
        typer.echo(f"{row.version} failed its smoke test in {row.environment}:\n  {failures}", err=True)
        if or_roll_back:
            _print_switch(roll_back(registry, reason=f"smoke test failed: {row.reason}"))
        raise UserError(f"the smoke test of {row.version} in {row.environment} failed.")
    typer.echo(
        f"{row.version} passed its smoke test in {row.environment}: {report.examples} examples, largest "
        f"difference {report.largest_difference:g}, {report.row_latency_ms:.1f} ms for one row"
    )


@command()
def promote(
    version: Annotated[str | None, typer.Argument(help="By default what the environment before it serves.")] = None,
    env: Env = None,
    emergency: Annotated[bool, typer.Option("--emergency", help="Ask for no proof, but for a reason.")] = False,
    reason: Reason = None,
) -> None:
    """Serve what passed in the environment before: live and smoke tested there, and champion."""
    from champion.delivery.deployment import promote as promote_version

    _print_switch(promote_version(_open(env), version, emergency=emergency, reason=reason))


@command()
def rollback(
    env: Env = None,
    to: Annotated[str | None, typer.Option("--to", help="A version that was live there before.")] = None,
    reason: Reason = None,
) -> None:
    """Serve again what the environment served before."""
    from champion.delivery.deployment import rollback as roll_back

    _print_switch(roll_back(_open(env), to, reason=reason))


@command()
def status(
    env: Annotated[str | None, typer.Option("--env", help="One environment; else all of them.")] = None,
    as_json: Json = False,
) -> None:
    """Show what every environment serves, since when, by whom, and whether it was smoke tested; exit 1 if it cannot."""
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
        raise UserError(f"{' and '.join(unreadable)} cannot be read. The note says why; --env asks for one alone.")


@command()
def history(
    env: Env = None,
    at: Annotated[
        str | None, typer.Option("--at", help="A time such as 2026-11-03T12:00, UTC if it says no zone.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show everything that concerns an environment, emergencies marked, or what it served at a time."""
    from dataclasses import asdict

    from champion.registry import history as record

    registry = _open(env)
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
            typer.echo(f"nothing happened yet in {_ledger(registry)}. `champion register --env {name}` is the first.")
        return
    row = record.live_at(rows, name, record.moment(at))
    if as_json:
        print_json(None if row is None else asdict(row))
    elif row is None:
        typer.echo(f"{name} served nothing at {at}")
    else:
        typer.echo(
            f"{name} served {row.version} at {at}: {row.action} on {row.time[:19]} UTC by {row.actor} "
            f"(row {row.sequence}, sha256 {row.model_sha256})"
        )


@command()
def audit(env: Env = None) -> None:
    """Hold ledger, registry, stores and MLflow's aliases against each other; exit non-zero with every difference."""
    from champion.delivery.audit import differences
    from champion.tracking.client import in_use

    registry = _open(env)
    found = differences(registry)
    if found:
        raise UserError(f"{len(found)} differences:\n  " + "\n  ".join(found))
    names = ", ".join(registry.sharing)
    used = in_use(registry.environment)
    aliases = "MLflow's aliases" if used else "not MLflow, where nothing was tracked"
    typer.echo(f"no difference: {len(registry.rows)} ledger rows, the registry, the stores of {names}, {aliases}")


@command()
def notify(text: Annotated[str, typer.Argument(help="What to say.")]) -> None:
    """Send a message to the webhook of CHAMPION_WEBHOOK_URL."""
    from champion.delivery.webhook import send

    send(text)


def _open(env: str | None) -> "Registry":
    """The registry of the environment, or of the one that ENVIRONMENT names."""
    from champion.environments import load_environment
    from champion.registry.registry import Registry

    return Registry.open(load_environment(env))


def _ledger(registry: "Registry") -> str:
    """Where a command looked that found nothing."""
    return f"{registry.environment.name} (its ledger is {registry.ledger.address})"


def _judgement(
    challenger: str | None,
    champion: str | None,
    won: bool | None = None,
    reasons: Sequence[str] = (),
    comparison: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A challenge as JSON; one without a challenger judged nothing."""
    return {
        "challenger": challenger,
        "champion": champion,
        "won": won,
        "reasons": list(reasons),
        "comparison": comparison,
    }


def _print_switch(switch: Any) -> None:
    row = switch.row
    if not switch.changed:
        typer.echo(f"{row.environment} serves {row.version} already, since {row.time[:19]} UTC")
        return
    instead = f" instead of {row.from_version}" if row.from_version else ""
    typer.echo(f"{row.environment} serves {row.version}{instead} ({row.action}, ledger row {row.sequence})")


def _print_comparison(row: "Row", comparison: Any) -> None:
    print_table(
        [comparison.metric, "score", ""],
        [
            [f"champion {row.from_version}", f"{comparison.champion:.4f}", ""],
            [f"challenger {row.version}", f"{comparison.challenger:.4f}", ""],
            ["gain", f"{comparison.gain:+.4f}", f"95% interval {comparison.low:+.4f} to {comparison.high:+.4f}"],
            ["rows", f"{comparison.rows:,}", f"{comparison.excluded:,} more excluded: one of them trained on these"],
        ],
    )


def _line(row: "Row") -> list[str]:
    action = f"{row.action}, EMERGENCY" if row.is_emergency else row.action
    what = [row.version, row.from_version, row.result, row.actor, (row.git_commit or "")[:9], row.reason]
    return [str(row.sequence), row.time[:19], action, *(text or "" for text in what)]
