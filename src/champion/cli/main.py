"""The `champion` command: a few lines over functions that can be called from Python."""

from pathlib import Path
from typing import Annotated

import typer

from champion.cli.delivery import app as delivery
from champion.cli.experiments import app as tracking
from champion.core.errors import UserError, one_line_errors

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
    from champion.core.layout import PARAMS
    from champion.core.strict_yaml import read
    from champion.params import Params

    with one_line_errors():
        read(Params, PARAMS)
        typer.echo("params.yaml: valid")


@app.command()
def as_of(day: Annotated[str, typer.Argument(help="A date such as 2010-01-01.")]) -> None:
    """Move the date of the dataset in params.yaml; `dvc repro` then makes the model of that day."""
    from champion.retraining.as_of import set_as_of

    with one_line_errors():
        set_as_of(Path(), day)
        typer.echo(f"params.yaml: as_of is {day}")


@app.command()
def gate() -> None:
    """Exit non-zero unless the evaluated model is the one on disk and passes every gate of params.yaml."""
    from champion.delivery.gate import failures

    with one_line_errors():
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
    from champion.core.layout import PARAMS
    from champion.core.strict_yaml import read
    from champion.report.comparison import CompareParams, breaches
    from champion.repository.revision import default_base, revision, working_tree

    with one_line_errors():
        before = revision(Path(), base or default_base(Path()))
        tolerances = read(CompareParams, PARAMS).compare
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
    from champion.core.files import replacing
    from champion.core.layout import PARAMS
    from champion.core.strict_yaml import read
    from champion.delivery.gate import failures
    from champion.report.html import to_html
    from champion.report.markdown import to_markdown
    from champion.report.pull_request import ReportParams, build
    from champion.report.verdict import Checks
    from champion.repository.reproduce import changed_stages, last_answer
    from champion.repository.revision import default_base, revision, working_tree

    with one_line_errors():
        before, params = revision(Path(), base or default_base(Path())), read(ReportParams, PARAMS)
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
    from champion.core.layout import PARAMS
    from champion.core.strict_yaml import read
    from champion.pipeline.validate.params import ValidateParams
    from champion.pipeline.validate.stage import read_tables
    from champion.report.data_docs import build_data_docs

    with one_line_errors():
        typer.echo(build_data_docs(read_tables(read(ValidateParams, PARAMS)), folder))


@app.command()
def reproduce(
    fast: Annotated[bool, typer.Option("--fast", help="Compare without data or runs, in seconds.")] = False,
) -> None:
    """Run the pipeline of HEAD again in a clone, and fail unless dvc.lock and metrics/ are bit for bit as committed."""
    from champion.repository.reproduce import RECORD, recorded
    from champion.repository.reproduce import reproduce as reproduce_head

    with one_line_errors():
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
    from champion.repository.remote import pull as pull_from_remote

    with one_line_errors():
        pull_from_remote(Path(), allow_missing=allow_missing)


@app.command()
def push(
    verify: Annotated[bool, typer.Option("--verify", help="Read every object whose ETag does not prove it.")] = False,
) -> None:
    """Run `dvc push` for the committed dvc.lock, and repair what the remote lacks of a folder or has corrupt."""
    from champion.repository.remote import push as push_to_remote

    with one_line_errors():
        for path in push_to_remote(Path(), verify=verify):
            typer.echo(f"repaired in the remote: {path}")


@app.command()
def resolve_lock() -> None:
    """Resolve a merge conflict in dvc.lock and metrics/ by running what the merge changed, and stage the result."""
    from champion.repository.resolve_lock import resolve_lock as resolve

    with one_line_errors():
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
    from champion.repository.local_s3 import LocalServer, serve
    from champion.repository.remote import default_remote

    with one_line_errors():
        remote = default_remote(Path())
        if not (remote.is_on_s3 and remote.bucket):
            raise UserError(
                f"the default remote, {remote.url}, is not on S3. Give .dvc/config one: s3://BUCKET/PREFIX."
            )
        serve(LocalServer(folder, remote.bucket, port), typer.echo)
