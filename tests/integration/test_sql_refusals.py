"""What the sql source refuses, on a real PostgreSQL and on SQLite: in a sentence that shows no password."""

import re
import socket
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from support.cases_database import (
    PASSWORD,
    QUERY,
    VARIABLE,
    Server,
    expected_rows,
    ingested,
    run_sql,
    use,
    write,
)
from support.project import Project
from support.refusals import sentence, snapshot
from support.small import small_table

pytestmark = pytest.mark.usefixtures("no_open_cursor")


# Each function takes the URLs of PostgreSQL's reader and of SQLite's file, and returns the URL to use.
URLS: dict[str, tuple[Callable[[str, str], str | None], str]] = {
    "the wrong password": (
        lambda postgres, _: postgres.replace(PASSWORD, f"in{PASSWORD}"),
        "cannot be reached: it is down, or the credentials are wrong",
    ),
    "a role that is not there": (lambda postgres, _: postgres.replace("reader", "stranger"), "cannot be reached"),
    "a database that is not there": (
        lambda postgres, _: postgres.replace("/postgres?", "/other?"),
        "cannot be reached",
    ),
    "a database that is down": (
        lambda *_: f"postgresql+psycopg://reader:{PASSWORD}@127.0.0.1:{closed_port()}/postgres?connect_timeout=2",
        "cannot be reached: it is down, or the credentials are wrong",
    ),
    "a socket that is not there": (
        lambda *_: f"postgresql+psycopg://reader:{PASSWORD}@/postgres?host=/nowhere",
        "cannot be reached",
    ),
    "no URL": (lambda *_: None, f"the environment variable {VARIABLE} is not set. Put the database's SQLAlchemy URL"),
    "an empty URL": (lambda *_: "", f"the environment variable {VARIABLE} is not set"),
    "a URL that is none": (
        lambda *_: f"reader:{PASSWORD}@host",
        f"{VARIABLE}: not a usable SQLAlchemy URL .* Write it",
    ),
    "an unknown dialect": (
        lambda *_: f"oracel://reader:{PASSWORD}@host/db",
        f"{VARIABLE}: not a usable SQLAlchemy URL",
    ),
    "an unknown driver": (
        lambda *_: f"postgresql+pg9000://reader:{PASSWORD}@host/db",
        f"{VARIABLE}: not a usable SQLAlchemy URL",
    ),
    "a driver not installed": (
        lambda *_: f"postgresql+asyncpg://reader:{PASSWORD}@host/db",
        f"{VARIABLE}: not a usable SQLAlchemy URL",
    ),
    "a port that is no number": (
        lambda *_: f"postgresql+psycopg://reader:{PASSWORD}@host:port/db",
        f"{VARIABLE}: not a usable SQLAlchemy URL",
    ),
    "an option the driver does not know": (
        lambda postgres, _: f"{postgres}&surprise={PASSWORD}",
        f"database of {VARIABLE} cannot be reached|not a usable SQLAlchemy URL",
    ),
    "a SQLite file that is not there": (
        lambda _, sqlite: sqlite.replace("cases.db", "other.db"),
        f"{VARIABLE}: its SQLite database is not a file. Correct the path in the variable.",
    ),
    "SQLite in memory": (lambda *_: "sqlite://", f"{VARIABLE}: its SQLite database is not a file"),
    "a SQLite file that is none": (
        lambda *_: "sqlite:///params.yaml",
        r"`ingest.table` \(file is not a database\). Correct it in params.yaml, or correct the data.",
    ),
}


@pytest.mark.parametrize("case", URLS)
def test_a_database_is_refused_without_showing_its_url(sql: Project, postgres: Server, sqlite: str, case: str) -> None:
    make, says = URLS[case]
    url = make(postgres.reader, sqlite)
    # The folder of SQLite's file must not gain one either.
    beside = set(Path(sa.make_url(sqlite).database or "").parent.iterdir())
    said = sentence(sql, "ingest", environment={} if url is None else {VARIABLE: url})
    assert re.search(says, said)
    assert set(Path(sa.make_url(sqlite).database or "").parent.iterdir()) == beside
    for secret in (PASSWORD, "reader", "stranger", "nowhere", "other"):
        assert secret not in said


SOURCES: dict[str, tuple[dict[str, str], str]] = {
    "no such table": (
        {"table": "cses"},
        "cses: the database has no such table. Correct `ingest.table` in params.yaml.",
    ),
    "no such schema": ({"table": "attic.cases"}, "attic.cases: the database has no such table. Correct `ingest.table`"),
    "no such column": ({"query": "SELECT nothing FROM cases"}, r"`ingest.query` \(.*nothing.*\). Correct it in params"),
    "a query with a mistake": (
        {"query": "SELEKT 1"},
        r"`ingest.query` \(.*syntax error.*\). Correct it in params.yaml",
    ),
    "no such table in the query": ({"query": "SELECT 1 FROM cses"}, r"`ingest.query` \(.*cses.*\). Correct it in"),
    "a bound that is none": (
        {"query": QUERY.replace(":start", ":begin")},
        r"`ingest.query` \(A value is required for bind param.*'begin'\). Correct it in params.yaml",
    ),
    "no row": (
        {"query": f"{QUERY} AND false"},
        "ingest.query: the database has no row in the window. Correct `as_of`",
    ),
    "no result": (
        {"query": "CREATE TABLE made AS SELECT 1"},
        r"`ingest.query` \(.*CREATE.*\). Correct it",
    ),
    "columns in another order": (
        {"query": 'SELECT outcome, opened, region, amount, visits, member, "case" FROM cases'},
        "ingest.query: column 1 is 'outcome', but params.yaml declares 'case'. Put `columns` in the table's order.",
    ),
    "a column missing": (
        {"query": 'SELECT "case", opened FROM cases'},
        "ingest.query: the column 'region', .* is missing. Add it",
    ),
    "a column twice": ({"query": f"SELECT region, {QUERY[7:]}"}, "ingest.query: .*region.*. Correct it in the query."),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_is_refused(sql: Project, postgres: Server, case: str) -> None:
    source, says = SOURCES[case]
    use(sql, **source)
    assert re.search(says, sentence(sql, "ingest", environment={VARIABLE: postgres.reader}))


@pytest.mark.parametrize("source", [{"table": "attic.cases"}, {"query": "SELEKT 1"}, {"query": "DELETE FROM cases"}])
def test_a_source_is_refused_on_sqlite(sql: Project, sqlite: str, source: dict[str, str]) -> None:
    use(sql, **source)
    said = sentence(sql, "ingest", environment={VARIABLE: sqlite})
    kind = next(iter(source))
    assert re.search(rf"`ingest.{kind}` \(.+\). Correct it in params.yaml, or correct the data.", said)


def test_a_column_missing_from_the_table_is_named(sql: Project, sqlite: str) -> None:
    sql.edit_params(lambda params: params["columns"].insert(0, "agent", {"type": "category"}))
    said = sentence(sql, "ingest", environment={VARIABLE: sqlite})
    assert said == "error: cases: the column 'agent' is missing. Correct `columns` in params.yaml.\n"


def test_a_query_cannot_change_the_database(sql: Project, postgres: Server) -> None:
    use(sql, query="DELETE FROM cases")
    sentence(sql, "ingest", environment={VARIABLE: postgres.owner})
    use(sql, table="cases")
    ingested(sql, postgres.owner)
    assert pl.read_parquet(sql.folder / "data/raw.parquet").equals(expected_rows())


def test_text_that_is_no_date_in_a_column_of_dates_is_refused(sql: Project, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'dates.db'}"
    write(url, small_table().drop("remark"))
    run_sql(url, """UPDATE cases SET opened = '2020-13-45' WHERE "case" = 500""")
    said = sentence(sql, "ingest", environment={VARIABLE: url})
    assert "cases: 1 value of column 'opened' cannot be read as date, such as '2020-13-45'. Correct them" in said


def test_infinite_values_are_refused(sql: Project, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'infinite.db'}"
    write(url, small_table().drop("remark").with_columns(amount=pl.col("amount") / 0))
    said = sentence(sql, "ingest", environment={VARIABLE: url})
    assert re.search("cases: [0-9]+ values of column 'amount' cannot be read as number, such as 'inf'", said)


def test_values_of_no_declared_type_are_refused(sql: Project, postgres: Server) -> None:
    use(sql, query=QUERY.replace("region", "ARRAY[region] AS region"))
    said = sentence(sql, "ingest", environment={VARIABLE: postgres.reader})
    assert re.search("ingest.query: the column 'region' holds .*", said)
    use(sql, query=QUERY.replace("region", "gen_random_uuid() AS region"))
    said = sentence(sql, "ingest", environment={VARIABLE: postgres.reader})
    assert re.search("ingest.query: the column 'region' holds UUID values, .* Cast it to text in `ingest.query`.", said)


def test_under_dvc_bad_credentials_change_nothing_and_are_not_shown(sql: Project, postgres: Server) -> None:
    wrong = postgres.reader.replace(PASSWORD, f"in{PASSWORD}")
    before = snapshot(sql)
    result = sql.repro(check=False, environment={VARIABLE: wrong})
    assert result.returncode != 0
    assert f"the database of {VARIABLE} cannot be reached" in result.stderr
    assert PASSWORD not in result.stdout + result.stderr
    # DVC removes the outputs before it runs the stage.
    removed = ("data/raw.parquet", "data/excluded.json")
    assert snapshot(sql) == {path: digest for path, digest in before.items() if path not in removed}
    for path in (sql.folder / ".dvc").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


def closed_port() -> int:
    """A port of this machine where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
