"""The small table in a real PostgreSQL and in SQLite, and a project that reads it from there."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from champion.table.window import Calendar
from support.postgresql import running_postgresql
from support.project import Project
from support.refusals import run_stage
from support.small import small_table

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


@pytest.fixture
def no_open_cursor() -> Iterator[None]:
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


def run_sql(url: str, *statements: str, **values: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement), values)
    engine.dispose()
