"""The commands that say when a model is stale."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from champion.cli.command import Command, Env, Json, open_registry
from champion.cli.table import print_json, print_table
from champion.core.errors import UserError
from champion.core.values import escaped

if TYPE_CHECKING:
    from datetime import date

    from champion.delivery.recent_drift import RecentDrift

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Monitoring")


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
    first, last = choose_window(source, parse_day(since), parse_day(until), read_monitoring(registry))
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
            for one in (*([] if result.score is None else [result.score]), *result.features)
        ],
    )
    for sentence in (*result.findings, *describe_joint(measured.joint, measured.no_joint)):
        typer.echo(escaped(sentence))


def parse_day(text: str | None) -> "date | None":
    """The day. Raises `UserError` when it is none."""
    from datetime import date

    try:
        return None if text is None else date.fromisoformat(text)
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
