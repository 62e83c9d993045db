"""The commands for data: the remote, and pages about the data."""

from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from champion.cli.command import Command
from champion.core.errors import UserError, warn

if TYPE_CHECKING:
    from champion.repository.garbage import Garbage, Kept

app = typer.Typer()
command = partial(app.command, cls=Command, rich_help_panel="Data")


@command()
def pull(
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Only warn about missing or corrupt files; `dvc repro` makes them.")
    ] = False,
    base: Annotated[
        str | None,
        typer.Option(
            envvar="CHAMPION_BASE",
            help="Also get the judged model of this branch, tag or commit, for `champion report`.",
        ),
    ] = None,
) -> None:
    """Run `dvc pull`, name files that are missing or corrupt in the remote, and say why a remote cannot be used."""
    from champion.repository.transfer import pull as pull_from_remote

    pull_from_remote(Path(), allow_missing=allow_missing)
    if base is not None:
        from champion.report.pairs import OF_BASE
        from champion.repository.outputs import fetch
        from champion.repository.revision import revision

        try:
            fetch(revision(Path(), base), OF_BASE)
        except UserError as error:
            if not allow_missing:
                raise
            warn(str(error))


@command()
def push(
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every object whose ETag does not prove its content.")
    ] = False,
) -> None:
    """Run `dvc push` for the committed dvc.lock, and repair objects that are missing or corrupt in the remote."""
    from champion.repository.transfer import push as push_to_remote

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


@command()
def gc(
    cloud: Annotated[bool, typer.Option("--cloud", help="Of the default remote too.")] = False,
    older_than: Annotated[
        float, typer.Option(min=0, help="Hours; what is younger stays, as a run or a push may not be committed yet.")
    ] = 24,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove files from DVC's cache that no version in use, branch, tag or working tree names.

    A version is in use if an environment serves it or can return to it, or if it is champion or challenger.
    """
    from champion.repository.garbage import garbage

    with garbage(Path(), _needed(cloud), cloud=cloud, hours=older_than) as stores:
        for store in stores:
            if dry_run:
                typer.echo("".join(f"{path}  {size:,} bytes\n" for path, size in store.objects.items()), nl=False)
            size = sum(store.objects.values())
            typer.echo(f"{store.store}: {len(store.objects)} of {store.count} objects can go ({size:,} bytes)")
        found = {path for store in stores for path in store.objects}
        if dry_run or not found:
            return
        if yes:
            _remove(stores, found)
            return
    # DVC may work while a person thinks, so what is needed is asked again.
    typer.confirm("Remove them?", abort=True)
    with garbage(Path(), _needed(cloud, say=False), cloud=cloud, hours=older_than) as stores:
        _remove(stores, found)


def _remove(stores: "Iterable[Garbage]", found: Collection[str]) -> None:
    for store in stores:
        store.remove(found)
    typer.echo("removed")


def _needed(cloud: bool, *, say: bool = True) -> "Kept":
    """What stays because a version in use needs it. With `say`, these versions are named."""
    from champion.delivery.needed import needed_versions
    from champion.repository.garbage import Kept

    versions, unasked = needed_versions(Path(), everywhere=cloud)
    if say and unasked:
        typer.echo(f"not asked, as their variables are not set: {', '.join(unasked)}")
    if say:
        typer.echo(f"versions in use: {', '.join(versions) or 'none'}")
    commits = {name: version.git_commit for name, version in versions.items() if version.git_commit is not None}
    return Kept(commits, {name: version.lineage for name, version in versions.items()})
