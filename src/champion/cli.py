"""The `champion` command: a few lines over functions that can be called from Python."""

from pathlib import Path
from typing import Annotated

import typer

from champion.cli_delivery import app as delivery
from champion.cli_tracking import app as tracking
from champion.errors import UserError, told_plainly

app = typer.Typer(
    help="Around `dvc repro`: check params, judge and prove the model; track, register, challenge, deploy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(delivery)
app.add_typer(tracking)


BaseOption = Annotated[
    str | None,
    typer.Option(
        envvar="CHAMPION_BASE", help="Branch, tag or commit to compare with; else origin/main, or main without one."
    ),
]


@app.command()
def check() -> None:
    """Check params.yaml: every key known, every value of the right type and range."""
    from champion.params import Params, load

    with told_plainly():
        load(Params)
        typer.echo("params.yaml: valid")


@app.command()
def as_of(day: Annotated[str, typer.Argument(help="A date such as 2010-01-01.")]) -> None:
    """Move the date of the dataset in params.yaml; `dvc repro` then makes the model of that day."""
    from champion.as_of import set_as_of

    with told_plainly():
        set_as_of(Path(), day)
        typer.echo(f"params.yaml: as_of is {day}")


@app.command()
def gate() -> None:
    """Exit non-zero unless the evaluated model is the one on disk and passes every gate of params.yaml."""
    from champion.delivery.gate import failures

    with told_plainly():
        reasons = failures(Path())
        if reasons:
            raise UserError("the gate is closed:\n  " + "\n  ".join(reasons))
        typer.echo("the gate is open: every verdict is a pass, on the model that was evaluated")


@app.command()
def compare(
    base: BaseOption = None,
    allow_no_baseline: Annotated[
        bool, typer.Option("--allow-no-baseline", help="Pass when the pipeline never ran at the base: a first model.")
    ] = False,
) -> None:
    """Exit non-zero when a held-out metric fell, against the base, by more than its tolerance in params.yaml."""
    from champion.params import load
    from champion.report.comparison import CompareParams, breaches
    from champion.report.revision import default_base, revision, working_tree

    with told_plainly():
        before = revision(Path(), base or default_base(Path()))
        tolerances = load(CompareParams).compare
        reasons = breaches(before, working_tree(Path()), tolerances, allow_no_baseline=allow_no_baseline)
        if reasons:
            raise UserError(f"worse than {before.name}:\n  " + "\n  ".join(reasons))
        typer.echo(f"no metric fell beyond its tolerance against {before.name}")


@app.command()
def report(
    base: BaseOption = None,
    output: Annotated[Path | None, typer.Option(help="Write the Markdown here, not to the terminal.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report with all plots as one HTML file too.")] = None,
) -> None:
    """Show what the working tree does to the model against the base: the Markdown that a pull request gets."""
    from champion.artifacts import replacing
    from champion.delivery.gate import failures
    from champion.params import load
    from champion.report.document import to_markdown
    from champion.report.page import to_html
    from champion.report.pull_request import Checks, ReportParams, build
    from champion.report.revision import default_base, revision, working_tree
    from champion.reproduction import changed_stages, last_answer

    with told_plainly():
        before, params = revision(Path(), base or default_base(Path())), load(ReportParams)
        try:
            closed = failures(Path())
        except UserError as error:
            closed = [str(error)]
        reproduced, reason = last_answer(Path())
        checks = Checks(closed, changed_stages(Path()), reproduced, reason)
        document = build(working_tree(Path()), before, params.gates, params.compare, checks)
        contents = {output: to_markdown(document)} | ({html: to_html(document)} if html else {})
        for path, content in contents.items():
            if path is None:
                typer.echo(content, nl=False)
            else:
                with replacing(path) as draft:
                    draft.write_text(content, encoding="utf-8")


@app.command()
def data_docs(
    folder: Annotated[Path, typer.Option(help="Where to write the pages.")] = Path("reports/data-docs"),
) -> None:
    """Build Great Expectations' Data Docs of the contract and of what it finds, as HTML."""
    from champion.params import load
    from champion.pipeline.validate import ValidateParams, read_tables
    from champion.report.data_docs import build_data_docs

    with told_plainly():
        typer.echo(build_data_docs(read_tables(load(ValidateParams)), folder))


@app.command()
def reproduce(
    fast: Annotated[bool, typer.Option("--fast", help="Compare without data or runs, in seconds.")] = False,
) -> None:
    """Run the pipeline of HEAD again in a clone, and fail unless dvc.lock and metrics/ are bit for bit as committed."""
    from champion.reproduction import RECORD, recorded
    from champion.reproduction import reproduce as reproduce_head

    with told_plainly():
        if fast:
            reproduce_head(Path(), fast=True)
        else:
            recorded(Path(), RECORD)
        typer.echo(
            "dvc.lock is up to date with HEAD" if fast else "reproduced: every output of HEAD is bit for bit the same"
        )


@app.command()
def pull(
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Only warn of what is missing or corrupt: `dvc repro` makes it.")
    ] = False,
) -> None:
    """Run `dvc pull`; say which files the remote lacks or has corrupt, and why the remote cannot be used."""
    from champion.storage.remote import pull as pull_from_remote

    with told_plainly():
        pull_from_remote(Path(), allow_missing=allow_missing)


@app.command()
def push(
    verify: Annotated[bool, typer.Option("--verify", help="Read every object whose ETag does not prove it.")] = False,
) -> None:
    """Run `dvc push` for the committed dvc.lock, and repair what the remote lacks of a folder or has corrupt."""
    from champion.storage.remote import push as push_to_remote

    with told_plainly():
        for path in push_to_remote(Path(), verify=verify):
            typer.echo(f"repaired in the remote: {path}")


@app.command()
def resolve_lock() -> None:
    """Resolve a merge conflict in dvc.lock and metrics/ by running what the merge changed, and stage the result."""
    from champion.merging import resolve_lock as resolve

    with told_plainly():
        staged = resolve(Path())
        typer.echo(f"resolved: {', '.join(staged)} staged. Look at them (`git diff --cached`), then commit the merge.")


@app.command()
def s3(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where it listens, on this machine only; 0 takes a free port.")
    ] = 8333,
    folder: Annotated[Path, typer.Option(help="Where its objects and credentials stay.")] = Path(".s3"),
) -> None:
    """Run a real S3 server with the remote's bucket on this machine, to try `dvc push` and `dvc pull`, until Ctrl-C."""
    from champion.storage.remote import default_remote
    from champion.storage.server import LocalServer, serve

    with told_plainly():
        remote = default_remote(Path())
        if not (remote.is_on_s3 and remote.bucket):
            raise UserError(
                f"the default remote, {remote.url}, is not on S3. Give .dvc/config one: s3://BUCKET/PREFIX."
            )
        serve(LocalServer(folder, remote.bucket, port), typer.echo)
