"""The date of a retraining, from the newest row of a source."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from champion.core.errors import UserError
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.stage import newest_date
from champion.table.window import Period

DAYS = [date(2020, 1, day) for day in (1, 5, 9)]
LONG = Period(date(2020, 1, 1), date(2021, 1, 1))


FILE = {"source": "file", "path": "cases.csv"}


def params(ingest: dict[str, Any] = FILE) -> IngestParams:
    return IngestParams.model_validate(
        {
            "as_of": "2020-01-05",
            "window": "30d",
            "columns": {
                "opened": {"type": "date", "role": "date"},
                "amount": {"type": "number"},
                "bad": {"type": "boolean", "role": "label"},
            },
            "label": {"kind": "value", "positive": [True], "horizon": "3d"},
            "split": {"test": "3d"},
            "ingest": ingest,
        }
    )


@pytest.fixture
def table(tmp_path: Path) -> pl.DataFrame:
    table = pl.DataFrame({"opened": DAYS, "amount": [1.0, 2.0, 3.0], "bad": [True, False, None]})
    (tmp_path / "data/source").mkdir(parents=True)
    table.write_csv(tmp_path / "data/source/cases.csv")
    return table


@pytest.mark.parametrize(
    ("period", "newest"),
    [
        (LONG, DAYS[2]),
        (Period(DAYS[0], DAYS[2]), DAYS[1]),
        (Period(date(2020, 1, 10), date(2021, 1, 1)), None),
    ],
)
@pytest.mark.usefixtures("table")
def test_the_newest_row_lies_in_the_period(tmp_path: Path, period: Period, newest: date | None) -> None:
    assert newest_date(params(), period, tmp_path) == newest


@pytest.mark.usefixtures("table")
def test_a_row_that_a_rule_excludes_is_not_the_newest(tmp_path: Path) -> None:
    assert newest_date(params(FILE | {"exclude": {"large": {"amount": {"above": 2}}}}), LONG, tmp_path) == DAYS[1]


def test_a_database_is_asked_for_the_rows_of_the_period_alone(
    table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/cases.db"
    table.write_database("cases", url, engine="sqlalchemy")
    monkeypatch.setenv("CHAMPION_SOURCE_URL", url)
    found = {"source": "sql", "query": "SELECT * FROM cases WHERE opened >= :start AND opened < :end"}
    for ingest in ({"source": "sql", "table": "cases"}, found):
        told = params(ingest)
        assert newest_date(told, Period(DAYS[0], DAYS[2]), tmp_path) == DAYS[1]
        assert newest_date(told, Period(date(2020, 1, 10), date(2021, 1, 1)), tmp_path) is None


@pytest.mark.usefixtures("table")
def test_a_source_that_cannot_be_read_is_no_source_without_rows(tmp_path: Path) -> None:
    (tmp_path / "data/source/cases.csv").write_text("opened,amount\n2020-01-01,1\n")
    with pytest.raises(UserError, match="bad"):
        newest_date(params(), LONG, tmp_path)
