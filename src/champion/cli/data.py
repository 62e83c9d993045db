"""The commands for data: the remote, and pages about the data."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from champion.cli.command import Command
from champion.core.errors import UserError

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Data")


@command()
def pull(
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Only warn about missing or corrupt files; `dvc repro` makes them.")
    ] = False,
) -> None:
    """Run `dvc pull`, name files that are missing or corrupt in the remote, and say why a remote cannot be used."""
    from champion.repository.remote import pull as pull_from_remote

    pull_from_remote(Path(), allow_missing=allow_missing)


@command()
def push(
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every object whose ETag does not prove its content.")
    ] = False,
) -> None:
    """Run `dvc push` for the committed dvc.lock, and repair objects that are missing or corrupt in the remote."""
    from champion.repository.remote import push as push_to_remote

    for path in push_to_remote(Path(), verify=verify):
        typer.echo(f"repaired in the remote: {path}")


@command()
def s3(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port, on this machine only; 0 means any free port.")
    ] = 8333,
    folder: Annotated[
        Path | None,
        typer.Option(resolve_path=True, show_default=".s3", help="The folder for its objects and credentials."),
    ] = None,
) -> None:
    """Run a real S3 server with the remote's bucket on this machine until Ctrl-C, to try `dvc push` and `dvc pull`."""
    from champion.repository.local_s3 import LocalServer, serve
    from champion.repository.remote import default_remote

    remote = default_remote(Path())
    if not (remote.is_on_s3 and remote.bucket):
        raise UserError(f"the default remote, {remote.url}, is not on S3. Set s3://BUCKET/PREFIX in .dvc/config.")
    serve(LocalServer(folder or Path(".s3"), remote.bucket, port), typer.echo)


@command()
def data_docs(
    folder: Annotated[
        Path | None, typer.Option(resolve_path=True, show_default="reports/data-docs", help="Where to write the pages.")
    ] = None,
) -> None:
    """Build Great Expectations' Data Docs, HTML pages with the contract and its results."""
    from champion.core.layout import PARAMS
    from champion.core.stage import progress
    from champion.core.strict_yaml import read
    from champion.pipeline.validate.params import ValidateParams
    from champion.pipeline.validate.stage import read_tables
    from champion.report.data_docs import build_data_docs

    with progress("building the pages of the data contract", line=False):
        tables = read_tables(read(ValidateParams, PARAMS))
        page = build_data_docs(tables, folder or Path("reports/data-docs"))
    typer.echo(page)
