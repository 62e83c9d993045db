"""The commands for delivery."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from champion.cli.command import Command, Env, Json
from champion.cli.table import number, print_json, print_table
from champion.core.errors import UserError

if TYPE_CHECKING:
    from champion.delivery.challenge import Verdict
    from champion.registry.chain import Row
    from champion.registry.registry import Registry

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Delivery")

VersionName = Annotated[str, typer.Argument(help="A version such as v3, or an alias.")]
Reason = Annotated[str | None, typer.Option(help="The reason, for the ledger.")]


@command()
def register(env: Env = None) -> None:
    """Register the model of `dvc repro` as an immutable version; the same model keeps its version."""
    from champion.delivery.register import register as register_model

    version, new = register_model(_open(env))
    what = "registered" if new else "this model was already registered"
    typer.echo(f"{version.name}: {what}, {version.model_sha256}")


@command()
def versions(env: Env = None, as_json: Json = False) -> None:
    """List every version with its aliases and metrics."""
    from champion.delivery.deployment import findings_of
    from champion.registry import history

    registry = _open(env)
    found = history.versions(registry.rows)
    findings = {name: [row.sequence for row in findings_of(registry, registry.rows, name)] for name in found}
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
                    "open_findings": findings[name],
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

    from champion.delivery.deployment import findings_of
    from champion.registry import history

    registry = _open(env)
    name = registry.resolve(version).name
    findings = [asdict(row) for row in findings_of(registry, registry.rows, name)]
    print_json(asdict(history.registration(registry.rows, name)) | {"open_findings": findings})


@command()
def challenge(
    version: Annotated[
        str | None, typer.Argument(help="The challenger: by default the version of the model on disk.")
    ] = None,
    env: Env = None,
    as_json: Json = False,
) -> None:
    """Judge a version against the champion, on held-out rows that neither trained on; exit non-zero when it loses.

    It judges nothing, and exits with zero, when the version is the champion or was compared before on the same rows.
    """
    from champion.core.stage import progress
    from champion.delivery.challenge import challenge as judge

    with progress("comparing the challenger with the champion", line=False):
        verdict = judge(_open(env), version)
    row, comparison = verdict.row, verdict.comparison
    if as_json:
        print_json(_judgement(verdict, None if row is None else row.details.get("comparison")))
    elif row is None:
        typer.echo(f"the champion {verdict.champion} stays: {verdict.stays}")
    elif comparison is not None:
        _print_comparison(row, comparison)
    if verdict.won is False:
        raise UserError(f"{verdict.challenger} does not become champion:\n  " + "\n  ".join(verdict.reasons))
    if verdict.won and not as_json:
        instead = f" instead of {verdict.champion}" if verdict.champion else ": the first needs only gates"
        typer.echo(f"{verdict.challenger} is champion{instead}")


@command()
def ready(version: VersionName = "champion", env: Env = None) -> None:
    """Smoke test a version in the registry, before its deployment; exit non-zero if it fails."""
    from champion.delivery.deployment import ready as examine

    found, report = examine(_open(env), version)
    if not report.passed:
        raise UserError(f"{found.name} is not ready:\n  " + "\n  ".join(report.failures))
    typer.echo(f"{found.name} is ready: {report.examples} predictions are the same as at registration")


@command()
def deploy(version: VersionName, env: Env = None) -> None:
    """Serve a version in an environment that needs no promotion. Then test it with `champion smoke`."""
    from champion.delivery.deployment import deploy as deploy_version

    _print_switch(deploy_version(_open(env), version))


@command()
def smoke(
    env: Env = None,
    or_roll_back: Annotated[bool, typer.Option("--or-roll-back", help="Roll back if the test fails.")] = False,
) -> None:
    """Test the version that an environment serves: it must load by hash and predict the same as at registration."""
    from champion.delivery.deployment import rollback as roll_back
    from champion.delivery.deployment import smoke_test

    registry = _open(env)
    row, report = smoke_test(registry)
    if not report.passed:
        failures = "\n  ".join(report.failures)
        typer.echo(f"{row.version} failed its smoke test in {row.environment}:\n  {failures}", err=True)
        if or_roll_back:
            _print_switch(roll_back(registry, reason=f"smoke test failed: {row.reason}", automatic=True))
        raise UserError(f"the smoke test of {row.version} in {row.environment} failed.")
    typer.echo(
        f"{row.version} passed its smoke test in {row.environment}: {report.examples} examples, largest "
        f"difference {report.largest_difference:g}, {report.row_latency_ms:.1f} ms for one row"
    )


@command()
def promote(
    version: Annotated[
        str | None,
        typer.Argument(help="The version to serve. By default the one that the previous environment serves."),
    ] = None,
    env: Env = None,
    emergency: Annotated[bool, typer.Option("--emergency", help="Skip the proof; this needs --reason.")] = False,
    reason: Reason = None,
) -> None:
    """Serve the champion, if the previous environment serves it and it passed its smoke test there."""
    from champion.delivery.deployment import promote as promote_version

    _print_switch(promote_version(_open(env), version, emergency=emergency, reason=reason))


@command()
def clear(
    version: VersionName, reason: Annotated[str, typer.Option(help="Why, for the ledger.")], env: Env = None
) -> None:
    """Let a version be promoted again that failed its smoke test in production, or was rolled back by itself."""
    from champion.delivery.deployment import clear as clear_findings

    row = clear_findings(_open(env), version, reason)
    typer.echo(f"{row.version} may be promoted again (ledger row {row.sequence})")


@command()
def rollback(
    env: Env = None,
    to: Annotated[str | None, typer.Option("--to", help="A version that was live there before.")] = None,
    reason: Reason = None,
) -> None:
    """Serve the previous version of the environment again."""
    from champion.delivery.deployment import rollback as roll_back

    _print_switch(roll_back(_open(env), to, reason=reason))


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
            typer.echo(f"nothing happened yet in {_ledger(registry)}. `champion register --env {name}` starts it.")
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
    """Compare ledger, registry, stores and MLflow's aliases; list all differences, and exit non-zero if any."""
    from champion.delivery.audit import differences
    from champion.tracking.client import in_use

    registry = _open(env)
    found = differences(registry)
    if found:
        raise UserError(f"{len(found)} differences:\n  " + "\n  ".join(found))
    names = ", ".join(registry.sharing)
    used = in_use(registry.environment)
    aliases = "MLflow's aliases agree" if used else "MLflow is not in use"
    typer.echo(f"no difference: {len(registry.rows)} ledger rows, registry and stores ({names}) agree; {aliases}")


@command()
def notify(text: Annotated[str, typer.Argument(help="The message.")]) -> None:
    """Send a message to the webhook of CHAMPION_WEBHOOK_URL."""
    from champion.delivery.webhook import send

    send(text)


def _open(env: str | None) -> "Registry":
    """The registry of the environment, or of the one that ENVIRONMENT names."""
    from champion.environments import load_environment
    from champion.registry.registry import Registry

    return Registry.open(load_environment(env))


def _ledger(registry: "Registry") -> str:
    """The environment and its ledger, for a command that found no rows there."""
    return f"{registry.environment.name} (its ledger is {registry.ledger.address})"


def _judgement(verdict: "Verdict", comparison: Mapping[str, Any] | None) -> dict[str, Any]:
    """A challenge as JSON; `won` is null when nothing was judged, and the reason says why."""
    return {
        "challenger": verdict.challenger,
        "champion": verdict.champion,
        "won": verdict.won,
        "reasons": [verdict.stays] if verdict.stays else list(verdict.reasons),
        "comparison": comparison,
    }


def _print_switch(switch: Any) -> None:
    row = switch.row
    if not switch.changed:
        typer.echo(f"{row.environment} already serves {row.version}, since {row.time[:19]} UTC")
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
            ["rows", f"{comparison.rows:,}", f"{comparison.excluded:,} others excluded: a model was trained on them"],
        ],
    )


def _line(row: "Row") -> list[str]:
    action = f"{row.action}, EMERGENCY" if row.is_emergency else row.action
    what = [row.version, row.from_version, row.result, row.actor, (row.git_commit or "")[:9], row.reason]
    return [str(row.sequence), row.time[:19], action, *(text or "" for text in what)]
