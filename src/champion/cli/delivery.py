"""Delivery's commands: a few lines each over `champion.delivery`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from champion.core.errors import UserError, one_line_errors

if TYPE_CHECKING:
    from champion.registry.chain import Row
    from champion.registry.registry import Registry

app = typer.Typer()

Env = Annotated[str | None, typer.Option("--env", help="An environment; by default the one that ENVIRONMENT names.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the ledger.")]


@app.command()
def register() -> None:
    """Make the model that `dvc repro` left an immutable version; the same model stays the same version."""
    from champion.delivery.register import register as register_model

    with one_line_errors():
        version, new = register_model(_open())
        what = "registered" if new else "this model was registered before"
        typer.echo(f"{version.name}: {what}, {version.model_sha256}")


@app.command()
def versions() -> None:
    """List every version with its aliases and metrics."""
    from champion.registry import history

    with one_line_errors():
        registry = _open()
        aliases = history.aliases(registry.rows, registry.sharing)
        lines = [
            [
                name,
                version.registered[:19],
                version.model_sha256[:12],
                *(_number(version.metrics.get(metric)) for metric in ("roc_auc", "f1_weighted", "brier_skill")),
                ", ".join(alias for alias, of in aliases.items() if of == name),
            ]
            for name, version in history.versions(registry.rows).items()
        ]
        _print_table(["version", "registered (UTC)", "sha256", "ROC AUC", "F1", "Brier skill", "aliases"], lines)


@app.command()
def show(version: Annotated[str, typer.Argument(help="A version such as v3, or an alias.")]) -> None:
    """Show everything that is known of a version, as JSON."""
    import json
    from dataclasses import asdict

    from champion.registry import history

    with one_line_errors():
        registry = _open()
        row = history.registration(registry.rows, registry.resolve(version).name)
        typer.echo(json.dumps(asdict(row), indent=2))


@app.command()
def challenge(
    version: Annotated[
        str | None, typer.Argument(help="The challenger: by default the newest version, which may be champion already.")
    ] = None,
) -> None:
    """Judge a version against the champion, on held-out rows that neither trained on; exit non-zero when it loses."""
    from champion.delivery.challenge import challenge as judge
    from champion.delivery.challenge import unchallenged

    with one_line_errors():
        registry = _open()
        if version is None and (champion := unchallenged(registry)):
            typer.echo(f"{champion} is champion already, and the newest version: there is nothing to judge")
            return
        verdict = judge(registry, version or "challenger")
        if verdict.comparison is not None:
            _print_comparison(verdict.row, verdict.comparison)
        if not verdict.won:
            raise UserError(f"{verdict.row.version} does not become champion:\n  " + "\n  ".join(verdict.reasons))
        instead = (
            f" instead of {verdict.row.from_version}" if verdict.row.from_version else ": the first needs only gates"
        )
        typer.echo(f"{verdict.row.version} is champion{instead}")


@app.command()
def ready(
    version: Annotated[str, typer.Argument(help="A version such as v3, or an alias.")] = "champion",
) -> None:
    """Smoke test a version in the registry, before it is deployed; exit non-zero when it fails."""
    from champion.delivery.deployment import ready as examine

    with one_line_errors():
        found, report = examine(_open(), version)
        if not report.passed:
            raise UserError(f"{found.name} is not ready:\n  " + "\n  ".join(report.failures))
        typer.echo(f"{found.name} is ready: {report.examples} examples answered as at registration")


@app.command()
def deploy(version: Annotated[str, typer.Argument(help="A version such as v3, or an alias.")], env: Env = None) -> None:
    """Serve a version in an environment that takes any; its smoke test is `champion smoke`."""
    from champion.delivery.deployment import deploy as deploy_version

    with one_line_errors():
        _print_switch(deploy_version(_open(env), version))


@app.command()
def smoke(
    env: Env = None,
    or_roll_back: Annotated[bool, typer.Option("--or-roll-back", help="Roll back when it fails.")] = False,
) -> None:
    """Test what an environment serves: it loads by hash and answers its stored examples as at registration."""
    from champion.delivery.deployment import rollback as roll_back
    from champion.delivery.deployment import smoke_test

    with one_line_errors():
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


@app.command()
def promote(
    version: Annotated[str | None, typer.Argument(help="By default what the environment before it serves.")] = None,
    env: Env = None,
    emergency: Annotated[bool, typer.Option("--emergency", help="Ask for no proof, but for a reason.")] = False,
    reason: Reason = None,
) -> None:
    """Serve what passed in the environment before: live and smoke tested there, and champion."""
    from champion.delivery.deployment import promote as promote_version

    with one_line_errors():
        _print_switch(promote_version(_open(env), version, emergency=emergency, reason=reason))


@app.command()
def rollback(
    env: Env = None,
    to: Annotated[str | None, typer.Option("--to", help="A version that was live there before.")] = None,
    reason: Reason = None,
) -> None:
    """Serve again what the environment served before."""
    from champion.delivery.deployment import rollback as roll_back

    with one_line_errors():
        _print_switch(roll_back(_open(env), to, reason=reason))


@app.command()
def status() -> None:
    """Show what every environment serves, since when, by whom, and whether it was smoke tested."""
    from dataclasses import astuple

    from champion.environments import load_environments
    from champion.registry.served import status_of

    with one_line_errors():
        lines = [[name, *astuple(status_of(environment))] for name, environment in load_environments().items()]
        _print_table(["environment", "version", "since (UTC)", "by", "smoke test", "note"], lines)


@app.command()
def history(
    env: Env = None,
    at: Annotated[
        str | None, typer.Option("--at", help="A time such as 2026-11-03T12:00, UTC if it says no zone.")
    ] = None,
) -> None:
    """Show everything that concerns an environment, emergencies marked, or what it served at a time."""
    from champion.registry import history as record

    with one_line_errors():
        registry = _open(env)
        rows, name = registry.rows, registry.environment.name
        if at is None:
            _print_table(
                ["row", "time (UTC)", "action", "version", "from", "result", "by", "commit", "reason"],
                [_line(row) for row in record.events(rows, name)],
            )
            return
        row = record.live_at(rows, name, record.moment(at))
        if row is None:
            typer.echo(f"{name} served nothing at {at}")
        else:
            typer.echo(
                f"{name} served {row.version} at {at}: {row.action} on {row.time[:19]} UTC by {row.actor} "
                f"(row {row.sequence}, sha256 {row.model_sha256})"
            )


@app.command()
def audit() -> None:
    """Hold ledger, registry, stores and MLflow's aliases against each other; exit non-zero with every difference."""
    from champion.delivery.audit import differences
    from champion.tracking.client import in_use

    with one_line_errors():
        registry = _open()
        found = differences(registry)
        if found:
            raise UserError(f"{len(found)} differences:\n  " + "\n  ".join(found))
        names = ", ".join(registry.sharing)
        used = in_use(registry.environment)
        aliases = "MLflow's aliases" if used else "not MLflow, where nothing was tracked"
        typer.echo(f"no difference: {len(registry.rows)} ledger rows, the registry, the stores of {names}, {aliases}")


@app.command()
def notify(text: Annotated[str, typer.Argument(help="What to say.")]) -> None:
    """Send a message to the webhook of CHAMPION_WEBHOOK_URL."""
    from champion.delivery.webhook import send

    with one_line_errors():
        send(text)


def _open(env: str | None = None) -> "Registry":
    """The registry of the environment, or of the one that ENVIRONMENT names."""
    from champion.environments import load_environment
    from champion.registry.registry import Registry

    return Registry.open(load_environment(env))


def _print_switch(switch: Any) -> None:
    row = switch.row
    if not switch.changed:
        typer.echo(f"{row.environment} serves {row.version} already, since {row.time[:19]} UTC")
        return
    instead = f" instead of {row.from_version}" if row.from_version else ""
    typer.echo(f"{row.environment} serves {row.version}{instead} ({row.action}, ledger row {row.sequence})")


def _print_comparison(row: "Row", comparison: Any) -> None:
    _print_table(
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


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "none"


def _print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[i]) for line in (headers, *rows)) for i in range(len(headers))]
    for line in (headers, *rows):
        typer.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
