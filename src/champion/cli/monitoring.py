"""The commands that say when a model is stale."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from champion.cli.command import Command, Env, Json, open_registry
from champion.cli.table import number, print_json, print_table, with_interval
from champion.core.errors import UserError
from champion.core.values import escaped

if TYPE_CHECKING:
    from datetime import date

    from champion.delivery.recent_drift import RecentDrift

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Monitoring")
# The exit status that asks for a retraining.
DUE = 10
METRICS = ("roc_auc", "f1_weighted", "observed_expected", "precision", "recall")


def _resolve(origin: str | None) -> str | None:
    # A path is meant from the user's folder, which is left before the command runs.
    return origin if origin in (None, "log", "source") else str(Path(origin).resolve())


Origin = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="The rows: `log`, `source`, or a Parquet or CSV file. By default the log if the environment has one, else "
        "the source.",
        callback=_resolve,
    ),
]
Since = Annotated[
    str | None, typer.Option(help="The first day, such as 2026-10-01. By default the last `monitoring.window` begins.")
]
Until = Annotated[str | None, typer.Option(help="The day after the last one. By default tomorrow.")]


@command()
def drift(
    version: Annotated[
        str | None,
        typer.Argument(help="A version such as v3, or an alias. By default the one that the environment serves."),
    ] = None,
    env: Env = None,
    origin: Origin = None,
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write an HTML page to this file.", dir_okay=False, resolve_path=True),
    ] = None,
) -> None:
    """Compare recent rows and their scores with the rows that a version's model was made of.

    The exit status does not depend on drift. Of a file, all rows are read unless --since or --until says otherwise.
    """
    from dataclasses import asdict

    from champion.core.stage import progress
    from champion.delivery.recent_drift import choose_origin, choose_window, measure_recent_drift, read_monitoring
    from champion.monitoring.wording import (
        describe_joint,
        describe_p_value,
        describe_share,
        describe_unnamed,
        describe_verdict,
    )

    registry = open_registry(env)
    found = registry.resolve(version or registry.environment.name)
    source = origin or choose_origin(registry)
    first, last = choose_window(source, *parse_days(since, until), read_monitoring(registry))
    with progress("reading the rows", line=False):
        measured = measure_recent_drift(registry, found, first, last, source)
    if html is not None:
        _write_page(html, measured)
    result = measured.drift
    if as_json:
        joint = None if measured.joint is None else asdict(measured.joint)
        told = {"version": measured.version, "environment": measured.environment, "from": measured.origin}
        days = {"since": _iso(first), "until": _iso(last)}
        print_json(told | days | result.describe() | {"joint": joint, "no_joint": measured.no_joint})
        return
    typer.echo(escaped(_told(measured)))
    print_table(
        ["column", "verdict", "PSI", "test", "p-value", "adjusted", "missing", "before", "not in the reference"],
        [
            [
                one.column,
                describe_verdict(one.drifted),
                "none" if one.psi is None else f"{one.psi:.3f}",
                one.test,
                describe_p_value(one.p_value),
                describe_p_value(one.adjusted_p_value),
                describe_share(one.missing),
                describe_share(one.missing_before),
                describe_unnamed(one),
            ]
            for one in result.columns
        ],
    )
    for sentence in (*result.findings, *describe_joint(measured.joint, measured.no_joint)):
        typer.echo(escaped(sentence))


@command()
def performance(
    env: Env = None,
    origin: Origin = None,
    since: Annotated[
        str | None,
        typer.Option(help="The first day of the rows. By default those count whose label became known lately."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="The day after the last one.")] = None,
    as_json: Json = False,
) -> None:
    """Say how well recent answers came true, by version and variant, and what is expected of those without a label.

    Without --since and --until, rows count whose label became known during the last `monitoring.window`.
    """
    from champion.core.stage import progress
    from champion.delivery.recent_drift import choose_origin
    from champion.delivery.recent_performance import measure_recent_performance, watched_version

    registry = open_registry(env)
    source, version = origin or choose_origin(registry), watched_version(registry)
    with progress("reading the rows", line=False):
        found = measure_recent_performance(registry, version, *parse_days(since, until), source)
    if as_json:
        told = {"environment": registry.environment.name, "from": source}
        print_json(told | {"performance": [one.describe() for one in found]})
        return
    lines, reasons = [], []
    for one in found:
        for labels, measured in (("known", one.known), ("estimated", one.estimated)):
            metrics = [with_interval(measured.metrics or {}, name) for name in METRICS]
            lines.append([one.version, one.variant or "", labels, f"{measured.rows:,}", *metrics])
            if measured.reason is not None:
                variant = f" ({one.variant})" if one.variant else ""
                reasons.append(f"{one.version}{variant}, {labels}: {measured.reason}")
    print_table(["version", "variant", "labels", "rows", *METRICS], lines)
    for reason in reasons or ([] if found else ["there is no row"]):
        typer.echo(escaped(reason))


@command("should-retrain")
def should_retrain(env: Env = None, as_json: Json = False) -> None:
    """Say whether to train again, by the triggers of params.yaml, and record that. The exit status is 10 if so.

    An error has the exit status 1. A trigger that cannot be measured is unknown, and the others decide.
    """
    from champion.core.stage import progress
    from champion.delivery.staleness import check_staleness

    def warn(text: str) -> None:
        typer.echo(escaped(f"warning: {text}"), err=True)

    with progress("looking at the triggers", line=False):
        row, triggers = check_staleness(open_registry(env), warn)
    due = [one.name for one in triggers if one.verdict == "due"]
    if as_json:
        print_json({"environment": row.environment, "row": row.sequence, **row.details})
    else:
        print_table(
            ["trigger", "verdict", "value", "threshold", "evidence"],
            [[one.name, one.verdict, number(one.value), number(one.threshold), one.evidence] for one in triggers],
        )
        told = f"a retraining is due ({', '.join(due)})" if due else "no retraining is due"
        typer.echo(escaped(f"{told}; recorded as ledger row {row.sequence}"))
    if due:
        raise typer.Exit(DUE)


def parse_days(since: str | None, until: str | None) -> "tuple[date | None, date | None]":
    """The days. Raises `UserError` when one is none, or the time ends before it begins."""
    first, last = (None if text is None else _parse_day(text) for text in (since, until))
    if first is not None and last is not None and last <= first:
        raise UserError(f"--until {last} is not after --since {first}, so no day lies between them. Give a later day.")
    return first, last


def _parse_day(text: str) -> "date":
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{text!r} is no day such as 2026-10-31.") from None


def _write_page(path: Path, measured: "RecentDrift") -> None:
    from champion.core.files import replacing
    from champion.monitoring.page import render

    if not path.parent.is_dir():
        raise UserError(f"{path}: its folder does not exist. Make it, or give another path.")
    title = f"Drift from {measured.version} in {measured.environment}"
    page = render(title, _told(measured), measured.drift, measured.joint, measured.no_joint)
    with replacing(path) as draft:
        draft.write_text(page, encoding="utf-8")


def _told(measured: "RecentDrift") -> str:
    """Which rows are compared with what."""
    origin = {"log": "the prediction log", "source": "the source"}.get(measured.origin, measured.origin)
    since = "" if measured.since is None else f" from {measured.since} on"
    until = "" if measured.until is None else f" before {measured.until}"
    drift = measured.drift
    return (
        f"{drift.rows:,} rows of {origin}{since}{until}, against {drift.reference_rows:,} rows that were new when "
        f"{measured.version} was made"
    )


def _iso(day: "date | None") -> str | None:
    return None if day is None else day.isoformat()
