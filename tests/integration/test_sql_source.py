"""What the sql source reads, from a real PostgreSQL and from SQLite."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from champion.pipeline.ingest import database
from champion.pipeline.ingest.params import SqlSource
from champion.table.columns import Column, Columns
from support.cases_database import (
    CALENDAR,
    QUERY,
    READ,
    VARIABLE,
    Server,
    change_type,
    expected_rows,
    ingested,
    run_sql,
    use,
    write,
)
from support.project import Project
from support.refusals import sentence
from support.small import small_table

pytestmark = pytest.mark.usefixtures("no_open_cursor")


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
