"""The commands that deliver a version: to staging, to production, and back."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from champion.cli.command import Command, Env, Json, Reason, VersionName, open_registry, refuse_blank
from champion.cli.table import number, print_json, print_table, with_interval
from champion.core.errors import UserError
from champion.core.values import escaped

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Delivery")


@command()
def ready(version: VersionName = "champion", env: Env = None) -> None:
    """Smoke test a version in the registry, before its deployment; exit non-zero if it fails."""
    from champion.delivery.proof import ready as examine

    found, report = examine(open_registry(env), version)
    if not report.passed:
        raise UserError(f"{found.name} is not ready:\n  " + "\n  ".join(report.failures))
    typer.echo(f"{found.name} is ready: {report.examples} predictions are the same as at registration")


@command()
def deploy(version: VersionName, env: Env = None) -> None:
    """Serve a version in an environment that needs no promotion. Then test it with `champion smoke`."""
    from champion.delivery.deployment import deploy as deploy_version

    _print_switch(deploy_version(open_registry(env), version))


@command()
def smoke(
    version: Annotated[
        str | None, typer.Argument(help="Refuse to test another version than this one. By default the one it serves.")
    ] = None,
    env: Env = None,
    or_roll_back: Annotated[bool, typer.Option("--or-roll-back", help="Roll back if the test fails.")] = False,
) -> None:
    """Test the version that an environment serves: it must load by hash and predict the same as at registration."""
    from champion.delivery.deployment import rollback as roll_back
    from champion.delivery.proof import smoke_test

    registry = open_registry(env)
    row, report = smoke_test(registry, version)
    if not report.passed:
        failures = "\n  ".join(report.failures)
        typer.echo(f"{row.version} failed its smoke test in {row.environment}:\n  {failures}", err=True)
        if or_roll_back:
            _print_switch(roll_back(registry, reason=f"smoke test failed: {row.reason}", automatic=True))
        raise UserError(f"the smoke test of {row.version} in {row.environment} failed.")
    typer.echo(
        f"{row.version} passed its smoke test in {row.environment}: {report.examples} examples, largest "
        f"difference {report.largest_difference:.1g}, {report.row_latency_ms:.2f} ms for one row"
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

    _print_switch(promote_version(open_registry(env), version, emergency=emergency, reason=reason))


@command()
def clear(
    version: VersionName,
    reason: Annotated[str, typer.Option(help="The reason, for the ledger.", callback=refuse_blank)],
    env: Env = None,
) -> None:
    """Allow the promotion of a version again after a failed smoke test in production or an automatic rollback."""
    from champion.delivery.findings import clear as clear_findings

    row = clear_findings(open_registry(env), version, reason)
    typer.echo(f"{row.version} may be promoted again (ledger row {row.sequence})")


@command()
def rollback(
    env: Env = None,
    to: Annotated[str | None, typer.Option("--to", help="A version that was live there before.")] = None,
    emergency: Annotated[
        bool, typer.Option("--emergency", help="Continue if the ledger is broken or unreachable; needs --reason.")
    ] = False,
    reason: Reason = None,
) -> None:
    """Serve the previous version of the environment again."""
    from champion.delivery.deployment import rollback as roll_back

    _print_switch(roll_back(open_registry(env), to, emergency=emergency, reason=reason))


@command()
def realised(
    version: VersionName,
    as_of: Annotated[str, typer.Option("--as-of", help="A date: a label counts if it is known by then.")],
    env: Env = None,
    as_json: Json = False,
) -> None:
    """Score a version's delivered model on rows whose label was not known when it was made, beside what was promised.

    The rows are read from the source again. No file of the pipeline changes.
    """
    from champion.core.stage import progress
    from champion.delivery.realised import realise

    with progress("reading and scoring the rows", line=False):
        row = realise(open_registry(env), version, as_of)
    details = row.details
    if as_json:
        print_json(details)
        return
    made, promised = details["made"], details["promised"]
    titles = [f"{row.version} on {details['as_of']}", "promised", f"from {made} on", f"before {made}"]
    print_table(titles, _realised_lines(promised, details["after"], details["before"]))
    if details["within_rehearsals"] is None:
        typer.echo("no interval of the rehearsals' ROC AUC was registered")
    else:
        low, high = (number(promised[f"rehearsed_roc_auc_{end}"]) for end in ("low", "high"))
        lies = "lies in" if details["within_rehearsals"] else "lies outside"
        typer.echo(f"roc_auc from {made} on {lies} the rehearsals' prediction interval, {low} to {high}")
    typer.echo(f"recorded as ledger row {row.sequence}")


@command()
def notify(text: Annotated[str, typer.Argument(help="The message.")]) -> None:
    """Send a message to the webhook of CHAMPION_WEBHOOK_URL."""
    from champion.delivery.webhook import send

    send(text)


def _print_switch(switch: Any) -> None:
    row = switch.row
    if not switch.changed:
        note = f" ({switch.note})" if switch.note else ""
        typer.echo(escaped(f"{row.environment} already serves {row.version}, since {row.time[:19]} UTC{note}"))
        return
    instead = f" instead of {row.from_version}" if row.from_version else ""
    note = switch.note or f"ledger row {row.sequence}"
    typer.echo(escaped(f"{row.environment} serves {row.version}{instead} ({row.action}, {note})"))


def _realised_lines(
    promised: Mapping[str, Any], after: Mapping[str, Any], before: Mapping[str, Any]
) -> list[list[str]]:
    from champion.delivery.realised import COMPARED

    lines = [
        ["rows", *(_count(one["rows"]) for one in (promised, after, before))],
        *([f"{end} row", "", *(part[end] or "none" for part in (after, before))] for end in ("first", "last")),
    ]
    for name in COMPARED:
        measured = (promised, after["metrics"], before["metrics"] or {})
        lines.append([name, *(with_interval(metrics, name) for metrics in measured)])
    return lines


def _count(rows: int | None) -> str:
    return "none" if rows is None else f"{rows:,}"
