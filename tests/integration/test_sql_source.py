"""The sql source, on a real PostgreSQL server and on SQLite."""

import gc
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from champion.pipeline.ingest import database
from champion.pipeline.ingest.params import SqlSource
from champion.table.columns import Column, Columns
from champion.table.window import Calendar
from support.postgresql import running_postgresql
from support.project import Project
from support.refusals import run_stage, sentence, snapshot
from support.small import small_table

# One worker starts the server, for all of these tests.
VARIABLE = "CHAMPION_SOURCE_URL"
PASSWORD = "correct-horse"  # noqa: S105
CALENDAR = Calendar(date(2022, 1, 1), horizon=6, window=3, test=1)
WINDOW = (CALENDAR.start, CALENDAR.as_of)

METADATA = sa.MetaData()


def cases(name: str, opened: type[sa.types.TypeEngine[Any]]) -> sa.Table:
    return sa.Table(
        name,
        METADATA,
        sa.Column("name", sa.String),  # personal: never to be read
        sa.Column("outcome", sa.String),
        sa.Column("case", sa.BigInteger),
        sa.Column("opened", opened),
        sa.Column("region", sa.String),
        sa.Column("amount", sa.Numeric(10, 2)),
        sa.Column("visits", sa.Integer),
        sa.Column("member", sa.Boolean),
    )


CASES, STAMPED = cases("cases", sa.Date), cases("stamped", sa.DateTime)
TRAPPED = """CREATE VIEW trapped AS SELECT "case", opened, region, amount, member, outcome,
CASE WHEN {inside} THEN visits ELSE 1 / (cases.visits - cases.visits) END AS visits FROM cases"""
READ = ["case", "opened", "region", "amount", "visits", "member", "outcome"]
QUERY = (
    'SELECT "case", opened, region, amount, visits, member, outcome FROM cases WHERE opened >= :start AND opened < :end'
)


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL: the URLs of its owner and of a role that may read only some columns of `cases`."""

    owner: str
    reader: str


def fill(url: str, seed: int) -> None:
    """The small table in the database of the URL, its rows in the order of the seed, and two variants of it.

    `stamped` has a time of day; PostgreSQL's view `trapped` fails when it is asked for a row outside the window.
    """
    rows = small_table().drop("remark").sample(fraction=1, shuffle=True, seed=seed)
    rows = rows.with_columns(pl.col("amount").cast(pl.Decimal(10, 2)), name=pl.lit("a person"))
    late = rows.with_columns(opened=pl.col("opened").cast(pl.Datetime) + pl.duration(hours=23))
    engine = sa.create_engine(url)
    inside = "'{}' <= opened AND opened < '{}'".format(*WINDOW)
    with engine.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(sa.insert(CASES), rows.to_dicts())
        connection.execute(sa.insert(STAMPED), late.to_dicts())
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(TRAPPED.format(inside=inside))
    engine.dispose()


@pytest.fixture(autouse=True)
def no_cursor_is_left_open() -> Iterator[None]:
    """A cursor that nobody closed is reported when it is collected: here, not in some later test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with running_postgresql() as owner:
        url = sa.make_url(owner)
        rules = Path(str(url.query["host"])) / "data/pg_hba.conf"
        rules.write_text("local all reader scram-sha-256\n" + rules.read_text())
        fill(owner, seed=1)
        engine = sa.create_engine(owner)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
            columns = ", ".join(f'"{column}"' for column in READ)
            connection.exec_driver_sql(f"GRANT SELECT ({columns}) ON cases TO reader")
            connection.exec_driver_sql("GRANT SELECT ON trapped, stamped TO reader")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()
        reader = url.set(username="reader", password=PASSWORD)
        yield Server(owner, reader.render_as_string(hide_password=False))


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'cases.db'}"
    fill(url, seed=2)
    return url


@pytest.fixture
def sql(small: Project) -> Project:
    """The small project, reading the table `cases` of a database within `WINDOW`."""

    def edit(params: dict[str, Any]) -> None:
        params["ingest"] = {"source": "sql", "table": "cases"}
        params |= {"as_of": "2022-01-01", "window": 3, "split": {"test": 1}}

    small.edit_params(edit)
    return small


def use(project: Project, **source: Any) -> None:
    project.edit_params(lambda params: params.update(ingest={"source": "sql", **source}))


def ingested(project: Project, url: str, variable: str = VARIABLE) -> bytes:
    raw = project.folder / "data/raw.parquet"
    raw.unlink(missing_ok=True)
    run_stage(project, "ingest", environment={variable: url})
    return raw.read_bytes()


def expected_rows() -> pl.DataFrame:
    rows = small_table().filter(pl.col("opened").is_between(*WINDOW, closed="left"))
    return rows.drop("remark").sort("case")


def test_both_databases_give_the_same_bytes(sql: Project, postgres: Server, sqlite: str) -> None:
    bytes_of = {("postgres", "table"): ingested(sql, postgres.reader), ("sqlite", "table"): ingested(sql, sqlite)}
    use(sql, query=QUERY)
    bytes_of |= {("postgres", "query"): ingested(sql, postgres.reader), ("sqlite", "query"): ingested(sql, sqlite)}
    assert len(set(bytes_of.values())) == 1
    found = pl.read_parquet(sql.folder / "data/raw.parquet")
    assert found.columns == READ
    assert found["case"].is_sorted()
    assert found.equals(expected_rows())


def test_the_window_is_applied_in_the_database(sql: Project, postgres: Server) -> None:
    plain = ingested(sql, postgres.reader)
    use(sql, table="trapped")
    assert ingested(sql, postgres.reader) == plain
    # The trap is real: with one more day, the view reads a row on which it fails.
    sql.edit_params(lambda params: params.update(as_of="2022-02-01"))
    assert "division by zero" in sentence(sql, "ingest", environment={VARIABLE: postgres.reader})


def test_only_declared_columns_are_read(sql: Project, postgres: Server) -> None:
    ingested(sql, postgres.reader)  # the reader may not see `name`, and the pipeline has not tried
    use(sql, query="SELECT * FROM cases")
    said = sentence(sql, "ingest", environment={VARIABLE: postgres.reader})
    assert "permission denied for table cases" in said


def test_a_window_on_timestamps_includes_the_whole_last_day(sql: Project, postgres: Server, sqlite: str) -> None:
    use(sql, table="stamped")
    assert ingested(sql, postgres.reader) == ingested(sql, sqlite)
    assert pl.read_parquet(sql.folder / "data/raw.parquet").equals(expected_rows())


def test_a_table_can_be_named_with_its_schema(sql: Project, postgres: Server) -> None:
    plain = ingested(sql, postgres.reader)
    use(sql, table="public.cases")
    assert ingested(sql, postgres.reader) == plain


def test_the_variable_that_holds_the_url_can_have_another_name(sql: Project, sqlite: str) -> None:
    use(sql, table="cases", url_env="WAREHOUSE")
    ingested(sql, sqlite, "WAREHOUSE")


def test_dates_written_in_a_format_of_their_own_are_read_whole(sql: Project, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'text.db'}"
    rows = small_table().drop("remark").with_columns(pl.col("opened").dt.strftime("%d.%m.%Y"))
    write(url, rows)
    use(sql, table="cases", date_format="%d.%m.%Y")
    ingested(sql, url)
    assert pl.read_parquet(sql.folder / "data/raw.parquet").sort("case").equals(expected_rows())


# Each has one date of its own, in the row with the largest `case`, which is outside the window.
WRITTEN = {
    "another format": ("31.12.2009", {}, "1 value of column 'opened' cannot be read as date, such as '31.12.2009'"),
    "garbage": ("garbage", {}, "1 value of column 'opened' cannot be read as date, such as 'garbage'"),
    "no text": ("", {}, None),
    "a declared word": ("?", {"na_values": ["?"]}, None),
    "a short month": ("2021-12-1", {}, date(2021, 12, 1)),
    "a time": ("2021-12-01 10:30:00.000000", {}, date(2021, 12, 1)),
}


@pytest.mark.parametrize("kind", [sa.Text, sa.Date, sa.DateTime])
@pytest.mark.parametrize("case", WRITTEN)
def test_a_date_that_is_text_is_read_as_in_a_file(sql: Project, tmp_path: Path, case: str, kind: Any) -> None:
    text, form, expected = WRITTEN[case]
    url = f"sqlite:///{tmp_path / 'texts.db'}"
    write(url, small_table().drop("remark").with_columns(pl.col("opened").cast(pl.String)), opened=sa.Text)
    change_type(url, kind)
    run_sql(url, 'UPDATE cases SET opened = :text WHERE "case" = (SELECT max("case") FROM cases)', text=text)
    use(sql, table="cases", **form)
    if isinstance(expected, str):
        assert expected in sentence(sql, "ingest", environment={VARIABLE: url})
        return
    ingested(sql, url)
    found = pl.read_parquet(sql.folder / "data/raw.parquet")
    assert found.filter(pl.col("case") == small_table()["case"].max())["opened"].to_list() == [expected]
    assert found.height == expected_rows().height + 1


def test_dates_of_one_other_format_are_refused(sql: Project, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'american.db'}"
    write(url, small_table().drop("remark").with_columns(opened=pl.lit("12/31/2009")))
    said = sentence(sql, "ingest", environment={VARIABLE: url})
    assert "cannot be read as date, such as '12/31/2009'. Correct them, or in params.yaml" in said


def test_a_table_without_rows_is_said_to_have_none(sql: Project, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    write(url, small_table().drop("remark"))
    run_sql(url, "DELETE FROM cases")
    said = sentence(sql, "ingest", environment={VARIABLE: url})
    assert said == "error: cases: the database has no row. Correct `ingest.table` in params.yaml.\n"


def test_what_became_known_later_moves_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = Columns(
        {
            "failed": Column(type="date", role="label"),
            "opened": Column(type="date", role="date"),
            "amount": Column(type="integer"),
        }
    )
    amounts = []
    for later in (date(2021, 6, 1), date(2021, 8, 1), None):
        url = f"sqlite:///{tmp_path / f'{later}.db'}"
        rows = {"failed": [later, date(2021, 7, 1)], "opened": [date(2021, 1, 1)] * 2, "amount": [2, 1]}
        write(url, pl.DataFrame(rows, schema_overrides={"failed": pl.Date}))
        monkeypatch.setenv(VARIABLE, url)
        found = database.read_sql(SqlSource(source="sql", table="cases"), columns, CALENDAR.period)
        amounts.append(found["amount"].to_list())
    assert amounts == [[1, 2]] * 3


def test_batches_do_not_show(sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, sqlite)
    columns = Columns(
        {
            "case": Column(type="integer", role="id"),
            "opened": Column(type="date", role="date"),
            "visits": Column(type="integer"),
            "amount": Column(type="number"),
            "outcome": Column(type="category", role="label"),
        }
    )
    source = SqlSource(source="sql", table="cases")
    whole = database.read_sql(source, columns, CALENDAR.period)
    monkeypatch.setattr(database, "BATCH_ROWS", 1)
    assert database.read_sql(source, columns, CALENDAR.period).equals(whole)


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


def write(url: str, rows: pl.DataFrame, **types: Any) -> None:
    """Write the rows to the table `cases` in the database of the URL; columns without a type are text."""
    kinds = {pl.Int64: sa.BigInteger, pl.Float64: sa.Float, pl.Boolean: sa.Boolean, pl.Date: sa.Date} | {}
    columns = [sa.Column(name, types.get(name, kinds.get(type(dtype), sa.Text))) for name, dtype in rows.schema.items()]
    table = sa.Table("cases", sa.MetaData(), *columns)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(sa.insert(table), rows.to_dicts())
    engine.dispose()


def run_sql(url: str, *statements: str, **values: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement), values)
    engine.dispose()


def change_type(url: str, kind: Any) -> None:
    """Declare another type for the dates of `cases`, whose texts stay as they are: SQLite checks none."""
    engine = sa.create_engine(url)
    declared = sa.schema.CreateTable(sa.Table("dated", sa.MetaData(), *(
        sa.Column(column["name"], kind if column["name"] == "opened" else column["type"])
        for column in sa.inspect(engine).get_columns("cases")
    ))).compile(engine)  # fmt: skip
    engine.dispose()
    run_sql(
        url,
        str(declared),
        "INSERT INTO dated SELECT * FROM cases",
        "DROP TABLE cases",
        "ALTER TABLE dated RENAME TO cases",
    )


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
