"""Delivery's commands: a few lines each over `champion.delivery`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from champion.core.errors import UserError, one_line_errors

if TYPE_CHECKING:
    from champion.registry.ledger import Row

app = typer.Typer()

Env = Annotated[str | None, typer.Option("--env", help="An environment; by default the one that ENVIRONMENT names.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the ledger.")]


@app.command()
def register() -> None:
    """Make the model that `dvc repro` left an immutable version; the same model stays the same version."""
    from champion.delivery.register import register as register_model
    from champion.environments import load_environment

    with one_line_errors():
        row, new = register_model(load_environment())
        typer.echo(f"{row.version}: {'registered' if new else 'this model was registered before'}, {row.model_sha256}")


@app.command()
def versions() -> None:
    """List every version with its aliases and metrics."""
    from champion.environments import load_environment
    from champion.registry import history
    from champion.registry.versions import neighbours, open_ledger

    with one_line_errors():
        environment = load_environment()
        rows = open_ledger(environment).rows()
        aliases = history.aliases(rows, neighbours(environment))
        lines = [
            [
                name,
                row.time[:19],
                str(row.model_sha256)[:12],
                *(_number(row.details["metrics"].get(metric)) for metric in ("roc_auc", "f1_weighted", "brier_skill")),
                ", ".join(alias for alias, version in aliases.items() if version == name),
            ]
            for name, row in history.versions(rows).items()
        ]
        _print_table(["version", "registered (UTC)", "sha256", "ROC AUC", "F1", "Brier skill", "aliases"], lines)


@app.command()
def show(version: Annotated[str, typer.Argument(help="A version such as v3, or an alias.")]) -> None:
    """Show everything that is known of a version, as JSON."""
    import json
    from dataclasses import asdict

    from champion.environments import load_environment
    from champion.registry import history
    from champion.registry.versions import neighbours, open_ledger

    with one_line_errors():
        environment = load_environment()
        row = history.resolve(open_ledger(environment).rows(), version, neighbours(environment))
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
    from champion.environments import load_environment

    with one_line_errors():
        environment = load_environment()
        if version is None and (champion := unchallenged(environment)):
            typer.echo(f"{champion} is champion already, and the newest version: there is nothing to judge")
            return
        verdict = judge(environment, version or "challenger")
        if verdict.comparison is not None:
            _print_comparison(verdict.row, verdict.comparison)
        if not verdict.promoted:
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
    from champion.environments import load_environment

    with one_line_errors():
        row, report = examine(load_environment(), version)
        if not report["passed"]:
            raise UserError(f"{row.version} is not ready:\n  " + "\n  ".join(report["failures"]))
        typer.echo(f"{row.version} is ready: {report['examples']} examples answered as at registration")


@app.command()
def deploy(version: Annotated[str, typer.Argument(help="A version such as v3, or an alias.")], env: Env = None) -> None:
    """Serve a version in an environment that takes any; its smoke test is `champion smoke`."""
    from champion.delivery.deployment import deploy as deploy_version
    from champion.environments import load_environment

    with one_line_errors():
        _print_switch(deploy_version(load_environment(env), version))


@app.command()
def smoke(
    env: Env = None,
    or_roll_back: Annotated[bool, typer.Option("--or-roll-back", help="Roll back when it fails.")] = False,
) -> None:
    """Test what an environment serves: it loads by hash and answers its stored examples as at registration."""
    from champion.delivery.deployment import rollback as roll_back
    from champion.delivery.deployment import smoke_test
    from champion.environments import load_environment

    with one_line_errors():
        environment = load_environment(env)
        row = smoke_test(environment)
        failures = "\n  ".join(row.details["failures"])
        if not row.details["passed"]:
            typer.echo(f"{row.version} failed its smoke test in {row.environment}:\n  {failures}", err=True)
            if or_roll_back:
                _print_switch(roll_back(environment, reason=f"smoke test failed: {row.reason}"))
            raise UserError(f"the smoke test of {row.version} in {row.environment} failed.")
        typer.echo(
            f"{row.version} passed its smoke test in {row.environment}: {row.details['examples']} examples, largest "
            f"difference {row.details['largest_difference']:g}, {row.details['row_latency_ms']:.1f} ms for one row"
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
    from champion.environments import load_environment

    with one_line_errors():
        _print_switch(promote_version(load_environment(env), version, emergency=emergency, reason=reason))


@app.command()
def rollback(
    env: Env = None,
    to: Annotated[str | None, typer.Option("--to", help="A version that was live there before.")] = None,
    reason: Reason = None,
) -> None:
    """Serve again what the environment served before."""
    from champion.delivery.deployment import rollback as roll_back
    from champion.environments import load_environment

    with one_line_errors():
        _print_switch(roll_back(load_environment(env), to, reason=reason))


@app.command()
def status() -> None:
    """Show what every environment serves, since when, by whom, and whether it was smoke tested."""
    from champion.delivery.deployment import status_of
    from champion.environments import load_environments

    with one_line_errors():
        lines = [[name, *status_of(environment)] for name, environment in load_environments().items()]
        _print_table(["environment", "version", "since (UTC)", "by", "smoke test", "note"], lines)


@app.command()
def history(
    env: Env = None,
    at: Annotated[
        str | None, typer.Option("--at", help="A time such as 2026-11-03T12:00, UTC if it says no zone.")
    ] = None,
) -> None:
    """Show what happened in an environment, or what it served at a time."""
    from champion.environments import load_environment
    from champion.registry import history as record
    from champion.registry.versions import open_ledger

    with one_line_errors():
        environment = load_environment(env)
        rows = open_ledger(environment).rows()
        if at is None:
            here = [row for row in rows if row.environment == environment.name]
            _print_table(
                ["row", "time (UTC)", "action", "version", "from", "by", "commit", "reason"],
                [[str(row.sequence), row.time[:19], row.action, *_origin(row)] for row in here],
            )
            return
        row = record.live_at(rows, environment.name, record.moment(at))
        if row is None:
            typer.echo(f"{environment.name} served nothing at {at}")
        else:
            typer.echo(
                f"{environment.name} served {row.version} at {at}: {row.action} on {row.time[:19]} UTC by {row.actor} "
                f"(row {row.sequence}, sha256 {row.model_sha256})"
            )


@app.command()
def audit() -> None:
    """Hold ledger, registry, stores and MLflow's aliases against each other; exit non-zero with every difference."""
    from champion.delivery.audit import differences
    from champion.environments import load_environment
    from champion.registry.versions import neighbours, open_ledger
    from champion.tracking.client import in_use

    with one_line_errors():
        environment = load_environment()
        found = differences(environment)
        if found:
            raise UserError(f"{len(found)} differences:\n  " + "\n  ".join(found))
        rows, names = open_ledger(environment).rows(), ", ".join(neighbours(environment))
        aliases = "MLflow's aliases" if in_use(environment) else "not MLflow, where nothing was tracked"
        typer.echo(f"no difference: {len(rows)} ledger rows, the registry, the stores of {names}, {aliases}")


@app.command()
def notify(text: Annotated[str, typer.Argument(help="What to say.")]) -> None:
    """Send a message to the webhook of CHAMPION_WEBHOOK_URL."""
    from champion.delivery.webhook import send

    with one_line_errors():
        send(text)


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


def _origin(row: "Row") -> list[str]:
    return [row.version or "", row.from_version or "", row.actor, (row.git_commit or "")[:9], row.reason or ""]


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "none"


def _print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[i]) for line in (headers, *rows)) for i in range(len(headers))]
    for line in (headers, *rows):
        typer.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
