"""The data contract on the whole real loan file."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from champion.core.strict_yaml import read as read_params
from champion.pipeline.ingest.params import FileSource, IngestParams
from champion.pipeline.ingest.stage import ingest
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.prepare.stage import prepare
from support.project import Project, loan_file

pytestmark = pytest.mark.real

AS_OF = date(2010, 1, 1)
# Approvals from `START` to before `END` have their label by `AS_OF`, 36 months after them.
START, END = date(2001, 1, 1), date(2007, 1, 1)
OUTCOMES = [
    "Term", "ChgOffDate", "DisbursementDate", "DisbursementGross", "BalanceGross", "MIS_Status", "ChgOffPrinGr"
]  # fmt: skip


def written_date(column: str) -> pl.Expr:
    """`28-Feb-97` read by hand: the file's dates run from 1961 to 2014."""
    months = {"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6, "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10}
    months |= {"Nov": 11, "Dec": 12}
    parts = pl.col(column).str.split("-").list
    year = parts.get(2).cast(pl.Int32)
    month = parts.get(1).replace_strict(months, return_dtype=pl.Int8)
    return pl.date(year + pl.when(year > 60).then(1900).otherwise(2000), month, parts.get(0).cast(pl.Int8))


@pytest.fixture(scope="module")
def source() -> pl.DataFrame:
    """The file as text, with its two dates and the id parsed independently of the pipeline."""
    return pl.read_csv(loan_file(), infer_schema=False).with_columns(
        approved=written_date("ApprovalDate"),
        charged_off=written_date("ChgOffDate"),
        loan_id=pl.col("LoanNr_ChkDgt").cast(pl.Int64),
    )


def read(project: Project, name: str) -> pl.DataFrame:
    return pl.read_parquet(project.folder / f"data/{name}.parquet")


def prepared(project: Project) -> pl.DataFrame:
    return pl.concat([read(project, "prepared/train"), read(project, "prepared/test")])


def test_every_expectation_is_met(real_run: Project) -> None:
    report: dict[str, Any] = json.loads((real_run.folder / "metrics/validation.json").read_text())
    assert [finding for finding in report["findings"] if not finding["passed"]] == []
    assert {finding["table"] for finding in report["findings"]} >= {"raw", "train", "test", "leaks"}


def test_every_loan_of_the_window_is_there_once(real_run: Project, source: pl.DataFrame) -> None:
    assert source.height == 899_164
    inside = source.filter(pl.col("approved").is_between(START, END, closed="left"))["loan_id"]
    report = json.loads((real_run.folder / "metrics/validation.json").read_text())
    rows = {table["name"]: table["rows"] for table in report["tables"]}
    assert rows["raw"] == rows["train"] + rows["test"] == inside.len()
    for table in (read(real_run, "raw"), prepared(real_run)):
        assert table["loan_id"].sort().equals(inside.sort())


def test_the_share_of_defaults_is_what_the_file_says(real_run: Project, source: pl.DataFrame) -> None:
    labels = prepared(real_run).join(source.select("loan_id", "charged_off", "MIS_Status"), on="loan_id")
    known = (pl.col("charged_off") <= pl.col("approval_date").dt.offset_by("36mo")).fill_null(False)
    assert labels.filter(pl.col("target").cast(pl.Boolean) != known).is_empty()
    # Fiscal years begin in October. The shares were measured before this pipeline was written, and only for loans that
    # stayed charged off. Here, loans that were charged off in time and paid later count too, as at as_of nobody knows
    # this.
    year = pl.col("approval_date").dt.offset_by("3mo").dt.year()
    lost = (pl.col("target") == 1) & (pl.col("MIS_Status") == "CHGOFF")
    shares = dict(labels.group_by(year).agg(lost.fill_null(False).mean()).iter_rows())
    assert [round(100 * shares[year], 1) for year in (2002, 2004, 2006)] == [1.2, 4.0, 9.9]


def test_no_personal_column_is_read(real_run: Project, source: pl.DataFrame) -> None:
    raw = read(real_run, "raw")
    assert raw.columns == list(read_params(IngestParams, real_run.folder / "params.yaml").columns)
    both = raw.join(source, on="loan_id")
    for name, dtype in raw.schema.items():
        for personal in ("Name", "City", "Zip"):
            same = both[name].cast(pl.String) == both[personal] if dtype != pl.Date else pl.Series([False])
            assert same.mean() < 0.001, (name, personal)


def test_nothing_in_raw_is_dated_after_as_of(real_run: Project, source: pl.DataFrame) -> None:
    raw = read(real_run, "raw")
    latest = raw.select(pl.col("approval_date", "charge_off_date").max()).row(0)
    assert latest[0] < END
    assert latest[1] < AS_OF
    # The file has later events: these are hidden, and no others.
    both = raw.join(source.select("loan_id", "charged_off"), on="loan_id")
    hidden = both.filter(pl.col("charged_off") >= AS_OF)
    assert hidden.height > 1000
    assert hidden["charge_off_date"].null_count() == hidden.height
    shown = both.filter(pl.col("charged_off") < AS_OF)
    assert shown["charge_off_date"].equals(shown["charged_off"], check_names=False)


def test_a_dataset_as_of_an_earlier_date_is_what_it_would_have_been_then(
    real_run: Project, source: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows from the current file equal rows from a file of that day, which has no later loans and losses."""
    then = date(2006, 1, 1)
    lost = pl.col("charged_off") < then
    known = source.filter(pl.col("approved") < then).with_columns(
        [pl.when(lost).then(column).alias(column) for column in OUTCOMES]
    )
    (tmp_path / "data/source").mkdir(parents=True)
    known.drop("approved", "charged_off", "loan_id").write_csv(tmp_path / "data/source/then.csv")
    monkeypatch.chdir(tmp_path)
    path = real_run.folder / "params.yaml"
    params = [
        read_params(sections, path).model_copy(update={"as_of": then}) for sections in (IngestParams, PrepareParams)
    ]
    in_file = FileSource(source="file", path="then.csv", adapter="loans")
    tables = []
    for origin in (params[0].ingest, in_file):
        raw = ingest(params[0].model_copy(update={"ingest": origin}))
        tables.append([raw, *prepare(raw, params[1])])
    for today, that_day in zip(*tables, strict=True):
        assert today.equals(that_day)
    later = source.filter(pl.col("approved").is_between(date(1997, 1, 1), date(2003, 1, 1), closed="left"))
    assert tables[0][0].height == later.height
    assert later.filter(pl.col("charged_off") >= then).height > 1000
