"""The commands that deliver a model, from its registration to production and back."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from champion.cli.command import Command, Env, Json, VersionName, open_registry, refuse_blank
from champion.cli.table import number, print_json, print_table, with_interval
from champion.core.errors import UserError
from champion.core.values import escaped

if TYPE_CHECKING:
    from champion.delivery.challenge import Verdict
    from champion.delivery.contest import Contest
    from champion.judging.comparison import Comparison
    from champion.registry.chain import Row

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Delivery")

Reason = Annotated[str | None, typer.Option(help="The reason, for the ledger.", callback=refuse_blank)]


@command()
def register(env: Env = None) -> None:
    """Register the pair of models of `dvc repro` as an immutable version; the same pair keeps its version."""
    from champion.delivery.register import register as register_model

    version, new = register_model(open_registry(env))
    what = "registered" if new else "this pair was already registered"
    delivered, judged = version.pair
    typer.echo(f"{version.name}: {what}, delivered {delivered[:12]}, judged {judged[:12]}")


@command()
def challenge(
    version: Annotated[
        str | None, typer.Argument(help="The challenger. By default the version of the model on disk.")
    ] = None,
    env: Env = None,
    as_json: Json = False,
) -> None:
    """Compare a version with the champion on test rows that neither learned from; exit non-zero if it loses.

    A new recipe must win; a refresh must not lose. If the version is the champion, or both were compared before, it
    compares nothing and exits with zero.
    """
    from champion.core.stage import progress
    from champion.delivery.challenge import challenge as judge

    with progress("comparing the challenger with the champion", line=False):
        verdict = judge(open_registry(env), version)
    row, comparison = verdict.row, verdict.comparison
    if as_json:
        print_json(_judgement(verdict, None if row is None else row.details.get("comparison")))
    elif row is None:
        typer.echo(f"the champion {verdict.champion} stays: {verdict.stays}")
    elif verdict.contest is not None:
        _print_contest(verdict.contest)
        if comparison is not None:
            _print_comparison(row, comparison)
    if verdict.won is False:
        raise UserError(f"{verdict.challenger} does not become champion:\n  " + "\n  ".join(verdict.reasons))
    if verdict.won and not as_json:
        instead = f" instead of {verdict.champion}" if verdict.champion else ": without a champion, only gates decide"
        typer.echo(f"{verdict.challenger} is champion{instead}")


@command()
def retire(
    version: VersionName,
    reason: Annotated[str, typer.Option(help="The reason, for the ledger.", callback=refuse_blank)],
    env: Env = None,
) -> None:
    """Let a version never be champion or challenger again. What is served stays served."""
    from champion.delivery.retire import retire as retire_version

    row = retire_version(open_registry(env), version, reason)
    typer.echo(f"{row.version} is retired (ledger row {row.sequence})")


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


def _judgement(verdict: "Verdict", comparison: Mapping[str, Any] | None) -> dict[str, Any]:
    """A challenge as JSON. If nothing was judged, `won` is null and the reason says why."""
    return {
        "challenger": verdict.challenger,
        "champion": verdict.champion,
        "won": verdict.won,
        "kind": verdict.contest.kind if verdict.contest else None,
        "changed": list(verdict.contest.changed) if verdict.contest else [],
        "reasons": [verdict.stays] if verdict.stays else list(verdict.reasons),
        "comparison": comparison,
    }


def _print_switch(switch: Any) -> None:
    row = switch.row
    if not switch.changed:
        note = f" ({switch.note})" if switch.note else ""
        typer.echo(escaped(f"{row.environment} already serves {row.version}, since {row.time[:19]} UTC{note}"))
        return
    instead = f" instead of {row.from_version}" if row.from_version else ""
    note = switch.note or f"ledger row {row.sequence}"
    typer.echo(escaped(f"{row.environment} serves {row.version}{instead} ({row.action}, {note})"))


def _print_contest(contest: "Contest") -> None:
    why = f"other values of {', '.join(contest.changed)}" if contest.changed else "a refresh of the champion's recipe"
    typer.echo(f"{contest.kind}: {why}")


def _print_comparison(row: "Row", comparison: "Comparison") -> None:
    both = (comparison.gain, comparison.brier)
    print_table(
        ["", comparison.metric, "Brier score"],
        [
            [f"champion {row.from_version}", *(f"{one.champion:.4f}" for one in both)],
            [f"challenger {row.version}", *(f"{one.challenger:.4f}" for one in both)],
            ["difference", *(f"{one.difference:+.4f}" for one in both)],
            ["95% interval", *(f"{one.low:+.4f} to {one.high:+.4f}" for one in both)],
        ],
    )
    typer.echo(f"{comparison.rows:,} rows, {comparison.excluded:,} others excluded: a model learned from them")


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
