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
from champion.pipeline.prepare.stage import prepare
from champion.table.params import TableParams
from support.project import Project, loan_file

pytestmark = pytest.mark.real

AS_OF, SPLIT = date(2011, 1, 1), date(2008, 1, 1)
# The oldest loan from which a rehearsal learns: 4 tests of a year, and three times 24 months before the split.
START = date(1998, 1, 1)
PARTS = ("at_split/labelled", "at_split/newest", "at_as_of/labelled", "at_as_of/newest", "test", "earlier")
# Loans and the share of them that was charged off within 24 months, by year of approval. They were measured before this
# pipeline was written, without debentures and without loans of unknown outcome; the last day of the 24 months counted.
MEASURED = {2002: (44_305, 0.7), 2004: (67_455, 2.1), 2005: (70_734, 2.2), 2007: (63_650, 8.4), 2008: (29_158, 7.7)}
OUTCOMES = [
    "Term", "ChgOffDate", "DisbursementDate", "DisbursementGross", "BalanceGross", "ChgOffPrinGr"
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


def amount(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars("$ ").str.replace_all(",", "").cast(pl.Float64)


def debenture() -> pl.Expr:
    return (amount("GrAppv") == amount("SBA_Appv")) & (amount("GrAppv") > 35_000)


def outcome_known() -> pl.Expr:
    return (pl.col("MIS_Status") == "P I F").fill_null(False) | pl.col("charged_off").is_not_null()


def test_every_expectation_is_met(real_run: Project) -> None:
    report: dict[str, Any] = json.loads((real_run.folder / "metrics/validation.json").read_text())
    assert [finding for finding in report["findings"] if not finding["passed"]] == []
    assert {finding["table"] for finding in report["findings"]} >= {"raw", *PARTS[:5], "leaks"}


def test_every_loan_but_debentures_is_there_once(real_run: Project, source: pl.DataFrame) -> None:
    assert source.height == 899_164
    inside = source.filter(pl.col("approved").is_between(START, AS_OF, closed="left"))
    excluded = json.loads((real_run.folder / "data/excluded.json").read_text())
    assert excluded["rows"] == {"debentures": inside.filter(debenture()).height}
    assert read(real_run, "raw")["loan_id"].sort().equals(inside.filter(~debenture())["loan_id"].sort())


def test_each_part_has_exactly_its_loans(real_run: Project, source: pl.DataFrame) -> None:
    loans = source.filter(pl.col("approved").is_between(START, AS_OF, closed="left") & ~debenture())
    when, known = pl.col("approved"), outcome_known()
    # A label is known 24 months after approval.
    expected = {
        "at_split/labelled": known & (when <= date(2006, 1, 1)),
        "at_split/newest": when.is_between(date(2007, 1, 1), SPLIT, closed="left"),
        "at_as_of/labelled": known & when.is_between(date(2001, 1, 1), date(2009, 1, 1)),
        "at_as_of/newest": when >= date(2010, 1, 1),
        "test": known & when.is_between(SPLIT, date(2009, 1, 1)),
        "earlier": known & when.is_between(date(2000, 1, 1), SPLIT, closed="left"),
    }
    for name in PARTS:
        found = read(real_run, f"prepared/{name}")["loan_id"].sort()
        assert found.equals(loans.filter(expected[name])["loan_id"].sort()), name


def test_the_share_of_defaults_is_what_the_file_says(real_run: Project, source: pl.DataFrame) -> None:
    labels = pl.concat([read(real_run, f"prepared/{name}") for name in ("earlier", "test")])
    labels = labels.join(source.select("loan_id", "charged_off"), on="loan_id")
    known = (pl.col("charged_off") < pl.col("approval_date").dt.offset_by("24mo")).fill_null(False)
    assert labels.filter(pl.col("(target)").cast(pl.Boolean) != known).is_empty()
    by_year = labels.group_by(pl.col("approval_date").dt.year().alias("year")).agg(pl.len(), pl.col("(target)").mean())
    found = {year: (rows, 100 * rate) for year, rows, rate in by_year.iter_rows() if year in MEASURED}
    assert found == {year: (rows, pytest.approx(rate, abs=0.06)) for year, (rows, rate) in MEASURED.items()}


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
    assert max(latest) < AS_OF
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
    """Rows from the current file equal rows from a file of that day, which has no later loans and losses.

    Only whether the current file knows the outcome looks further: no loan of unknown outcome is in either.
    """
    then = date(2007, 1, 1)
    lost = pl.col("charged_off") < then
    known = source.filter(pl.col("approved") < then).with_columns(
        [pl.when(lost).then(column).alias(column) for column in OUTCOMES]
        + [
            pl.when(outcome_known() & ~lost.fill_null(False))
            .then(pl.lit("P I F"))
            .otherwise("MIS_Status")
            .alias("MIS_Status")
        ]
    )
    (tmp_path / "data/source").mkdir(parents=True)
    known.drop("approved", "charged_off", "loan_id").write_csv(tmp_path / "data/source/then.csv")
    monkeypatch.chdir(tmp_path)
    path = real_run.folder / "params.yaml"
    params = [
        read_params(sections, path).model_copy(update={"as_of": then}) for sections in (IngestParams, TableParams)
    ]
    exclude = params[0].ingest.exclude
    in_file = FileSource(source="file", path="then.csv", adapter="loans", exclude=exclude)
    tables = []
    for origin in (params[0].ingest, in_file):
        raw, excluded = ingest(params[0].model_copy(update={"ingest": origin}))
        assert excluded["debentures"] > 1000
        tables.append([raw, *prepare(raw, params[1]).values()])
    for today, that_day in zip(*tables, strict=True):
        assert today.equals(that_day)
    before = source.filter((pl.col("approved") < then) & ~debenture())
    assert before.filter(pl.col("charged_off") >= then).height > 1000
