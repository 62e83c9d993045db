"""The commands that register a version, let it challenge the champion, and retire it."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from champion.cli.command import Command, Env, Json, VersionName, open_registry, refuse_blank
from champion.cli.table import print_json, print_table
from champion.core.errors import UserError

if TYPE_CHECKING:
    from champion.delivery.challenge import Verdict
    from champion.delivery.contest import Contest
    from champion.judging.comparison import Comparison
    from champion.registry.chain import Row

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Delivery")


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
