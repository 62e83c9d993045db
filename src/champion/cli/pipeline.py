"""The commands for the pipeline: checks, proofs and reports about `dvc repro`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from champion.cli.command import Command, Env
from champion.core.errors import UserError

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Pipeline")

Base = Annotated[
    str | None,
    typer.Option(
        envvar="CHAMPION_BASE", help="Branch, tag or commit to compare with. By default origin/main, else main."
    ),
]


@command()
def check() -> None:
    """Check params.yaml: all keys, values, estimator parameters and the search grid; say which stages would fail."""
    from champion.core.layout import PARAMS
    from champion.params import check as check_params

    check_params(PARAMS)
    typer.echo("params.yaml: valid")


@command()
def as_of(day: Annotated[str, typer.Argument(help="A date such as 2010-01-01.")]) -> None:
    """Set the date of the dataset in params.yaml; then `dvc repro` makes the model of that day."""
    from champion.retraining.as_of import set_as_of

    set_as_of(Path(), day)
    typer.echo(f"params.yaml: as_of is {day}")


@command()
def gate() -> None:
    """Exit non-zero unless the model on disk is the one in the committed dvc.lock and passes every gate."""
    from champion.delivery.gate import failures

    reasons = failures(Path())
    if reasons:
        raise UserError("the gate is closed:\n  " + "\n  ".join(reasons))
    typer.echo("the gate is open: the evaluated model passes every gate")


@command()
def compare(
    base: Base = None,
    allow_no_baseline: Annotated[
        bool, typer.Option("--allow-no-baseline", help="Pass if the pipeline never ran at the base (a first model).")
    ] = False,
) -> None:
    """Exit non-zero if a metric of the test is worse than the base by more than its tolerance in params.yaml.

    The same against what production serves, if the variables of its addresses are set; else it says that it could not.
    """
    from champion.core.layout import PARAMS
    from champion.core.strict_yaml import read
    from champion.report.comparison import CompareParams, breaches, slides
    from champion.report.production import production
    from champion.repository.revision import baseline, default_base, revision, working_tree

    tolerances, after = read(CompareParams, PARAMS).compare, working_tree(Path())
    before = baseline(revision(Path(), base or default_base(Path())), after)
    served = production(after)
    found = {
        before.name: breaches(before, after, tolerances, allow_no_baseline=allow_no_baseline),
        f"{served.name} in production": slides(served, after, tolerances),
    }
    worse = ["\n  ".join([f"worse than {name}:", *reasons]) for name, reasons in found.items() if reasons]
    if served.unknown:
        typer.echo(f"not compared with production: {served.unknown}")
    if worse:
        raise UserError("\n".join(worse))
    compared = before.name if served.unknown else " or ".join(found)
    typer.echo(f"no metric is worse than {compared} by more than its tolerance")


@command()
def report(
    base: Base = None,
    output: Annotated[
        Path | None,
        typer.Option(dir_okay=False, resolve_path=True, help="Write the Markdown to this file, not to the terminal."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(dir_okay=False, resolve_path=True, help="Also write the report with all plots to this HTML file."),
    ] = None,
) -> None:
    """Compare the model in the working tree with the base, in the Markdown that a pull request gets."""
    from champion.core.files import replacing
    from champion.core.layout import PARAMS
    from champion.core.stage import progress
    from champion.core.strict_yaml import read
    from champion.delivery.gate import failures
    from champion.report.html import to_html
    from champion.report.markdown import to_markdown
    from champion.report.production import production
    from champion.report.pull_request import ReportParams, build
    from champion.report.verdict import Checks
    from champion.repository.reproduce import changed_stages, last_answer
    from champion.repository.revision import baseline, default_base, revision, working_tree

    before, params = revision(Path(), base or default_base(Path())), read(ReportParams, PARAMS)
    with progress("writing the report", line=False):
        try:
            closed = failures(Path())
        except UserError as error:
            closed = [str(error)]
        reproduced, reason = last_answer(Path())
        checks = Checks(closed, changed_stages(Path()), reproduced, reason)
        after = working_tree(Path())
        document = build(after, baseline(before, after), params, checks, production(after))
        contents = {output: to_markdown(document)} | ({html: to_html(document)} if html else {})
    for path, content in contents.items():
        if path is None:
            typer.echo(content, nl=False)
        else:
            with replacing(path) as draft:
                draft.write_text(content, encoding="utf-8")


@command()
def reproduce(
    version: Annotated[
        str | None, typer.Argument(help="A registered version, to make again from its commit. By default HEAD.")
    ] = None,
    env: Env = None,
    fast: Annotated[bool, typer.Option("--fast", help="Compare without data or runs, in seconds.")] = False,
) -> None:
    """Run the pipeline of HEAD again in a clone; fail unless dvc.lock and metrics/ are bit for bit as committed.

    Of a VERSION, run that of its commit, and fail unless every output is bit for bit as registered.
    """
    from champion.repository.reproduce import RECORD, recorded
    from champion.repository.reproduce import reproduce as reproduce_head

    if version is not None:
        from champion.environments import load_environment
        from champion.registry.registry import Registry
        from champion.retraining.rebuild import rebuild

        if fast:
            raise UserError("--fast works only for HEAD, because a version needs a run. Omit --fast or the version.")
        found = rebuild(Registry.open(load_environment(env)), version)
        typer.echo(f"{found.name} was reproduced: every output is bit for bit as registered")
        return
    if fast:
        reproduce_head(Path(), fast=True)
    else:
        recorded(Path(), RECORD)
    typer.echo(
        "dvc.lock is up to date with HEAD" if fast else "reproduced: every output of HEAD is bit for bit the same"
    )


@command()
def resolve_lock() -> None:
    """Resolve a merge conflict in dvc.lock and metrics/: run the changed stages and stage the result (`git add`)."""
    from champion.repository.resolve_lock import resolve_lock as resolve

    staged = resolve(Path())
    typer.echo(f"resolved and staged: {', '.join(staged)}. Check them (`git diff --cached`), then commit the merge.")
