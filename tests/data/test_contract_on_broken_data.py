"""The data contract on data broken in one way at a time."""

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from champion.core.strict_yaml import read
from champion.pipeline.validate.params import ValidateParams
from champion.table.columns import Column
from support.project import Project
from support.refusals import run_stage, snapshot

if TYPE_CHECKING:
    from champion.pipeline.validate.expectations import Checked
    from champion.pipeline.validate.findings import Finding

# One worker imports Great Expectations, and not before these tests run.
TRAINING = "at_split/labelled"
PARTS = (TRAINING, "at_split/newest", "at_as_of/labelled", "at_as_of/newest", "test")


@dataclass(frozen=True)
class Data:
    """The inputs of validate."""

    raw: pl.DataFrame
    parts: dict[str, pl.DataFrame]
    params: ValidateParams


@pytest.fixture(scope="module")
def whole(sample_run: Project) -> Data:
    """The loan sample, unbroken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the modules that Great Expectations imports
        import champion.pipeline.validate.findings  # noqa: F401

    data = sample_run.folder / "data"
    parts = {name: pl.read_parquet(data / f"prepared/{name}.parquet") for name in PARTS}
    return Data(pl.read_parquet(data / "raw.parquet"), parts, read(ValidateParams, sample_run.folder / "params.yaml"))


# By name, the tables in which nothing was found.
SOUND: "dict[str, Checked]" = {}


def breaches(data: Data) -> "list[Finding]":
    """What is wrong with the data. A table that is equal to a sound one is not checked again, as that takes long."""
    from champion.pipeline.validate.expectations import tables_to_check
    from champion.pipeline.validate.findings import check

    params = data.params
    tables = tables_to_check(data.raw, data.parts, params.table, params.contract, params.calendar)
    unknown = [table for table in tables if not (table.name in SOUND and same(table, SOUND[table.name]))]
    found = [finding for finding in check(unknown) if not finding.passed]
    broken = {finding.table for finding in found}
    SOUND.update({table.name: table for table in unknown if table.name not in broken})
    return found


def same(one: "Checked", other: "Checked") -> bool:
    return one.expectations == other.expectations and one.frame.equals(other.frame)


def put(table: pl.DataFrame, column: str, value: object, share: float = 1.0) -> pl.DataFrame:
    """The table with the value in the first `share` of its rows."""
    chosen = pl.int_range(pl.len()) < math.ceil(share * table.height)
    return table.with_columns(
        pl.when(chosen).then(pl.lit(value)).otherwise(column).cast(table[column].dtype).alias(column)
    )


def raw(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Data], Data]:
    return lambda data: replace(data, raw=change(data.raw))


def part(name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Data], Data]:
    return lambda data: replace(data, parts=data.parts | {name: change(data.parts[name])})


def train(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Data], Data]:
    return part(TRAINING, change)


def in_test(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Data], Data]:
    return part("test", change)


# The defect, and its line in the breach table: table, column, expectation, allowed, rows, found.
BROKEN: dict[str, tuple[Callable[[Data], Data], str]] = {
    "missing where nothing may be": (
        raw(lambda rows: put(rows, "amount_approved", None, 0.00005)),
        r"raw  amount_approved  column_values_to_not_be_null    1 of 14,521  missing",
    ),
    "missing beyond the limit": (
        raw(lambda rows: put(rows, "lender", None, 0.02)),
        r"raw  lender  column_values_to_not_be_null  in 0.99 of rows  291 of 14,521  missing",
    ),
    "a date missing": (
        raw(lambda rows: put(rows, "approval_date", None, 0.00005)),
        "raw  approval_date  column_values_to_not_be_null    1 of 14,521  missing",
    ),
    "not a number": (
        raw(lambda rows: put(rows, "amount_approved", math.nan, 0.00005)),
        "raw  amount_approved  column_values_to_not_be_null    1 of 14,521  missing",
    ),
    "invalid category beyond the limit": (
        raw(lambda rows: put(rows, "low_doc", "Z", 0.05)),
        r"raw  low_doc  column_values_to_be_in_set  one of Y, N in 0.96 of rows  \d+ of 14,\d+  .*Z",
    ),
    "out of range": (
        raw(lambda rows: put(rows, "amount_approved", -5.0, 0.0001)),
        "raw  amount_approved  column_values_to_be_between  1 to 10000000  2 of 14,521  -5",
    ),
    "out of range beyond the limit": (
        raw(lambda rows: put(rows, "employees", 9999, 0.01)),
        r"raw  employees  column_values_to_be_between  0 to 5000 in 0.999 of rows  \d+ of 14,521  9999",
    ),
    "infinite": (
        raw(lambda rows: put(rows, "guaranteed_share", math.inf, 0.00005)),
        "raw  guaranteed_share  column_values_to_be_between  0 to 1  1 of 14,521  inf",
    ),
    "infinite in a split": (
        train(lambda rows: put(rows, "amount_approved", -math.inf, 0.00005)),
        "at_split/labelled  amount_approved  column_values_to_be_between  1 to 10000000  1 of 9,434  -inf",
    ),
    "invalid category left in a split": (
        in_test(lambda rows: put(rows, "low_doc", "Z", 0.00005)),
        "test  low_doc  column_values_to_be_in_set  one of Y, N  1 of [0-9,]+  Z",
    ),
    "duplicate id": (
        raw(lambda rows: put(rows, "loan_id", rows["loan_id"][0], 0.0001)),
        r"raw  loan_id  column_values_to_be_unique    2 of 14,521  \d{10}",
    ),
    "integers as decimals": (
        raw(lambda rows: rows.cast({"employees": pl.Float64})),
        "raw columns  employees  column_distinct_values_to_be_in_set  one of Int64    Float64",
    ),
    "numbers as text": (
        raw(lambda rows: rows.cast({"employees": pl.String})),
        "raw columns  employees  column_distinct_values_to_be_in_set  one of Int64    String",
    ),
    "dates with a time": (
        raw(lambda rows: rows.cast({"approval_date": pl.Datetime("ms")})),
        r"raw columns  approval_date  column_distinct_values_to_be_in_set  one of Date    Datetime\(.*",
    ),
    "numbers as text in a split": (
        train(lambda rows: rows.cast({"amount_approved": pl.String})),
        "at_split/labelled columns  amount_approved  column_distinct_values_to_be_in_set  one of Float64    String",
    ),
    "a label of decimals": (
        in_test(lambda rows: rows.cast({"(target)": pl.Float64})),
        r"test columns  \(target\)  column_distinct_values_to_be_in_set  one of Int8    Float64",
    ),
    "columns in another order": (
        raw(lambda rows: rows.select(reversed(rows.columns))),
        r"raw columns  \(table\)  .*_match_ordered_list  the declared columns, in their order    outcome_known where "
        "loan_id should be",
    ),
    "a missing column": (
        raw(lambda rows: rows.drop("lender")),
        r"raw columns  \(table\)  .*_match_ordered_list  the declared columns, in their order    without lender",
    ),
    "an extra column": (
        raw(lambda rows: rows.with_columns(surprise=1)),
        r"raw columns  \(table\)  .*_match_ordered_list  the declared columns, in their order    with surprise",
    ),
    "a missing column in a split": (
        train(lambda rows: rows.drop("loan_id", "lender")),
        r"at_split/labelled columns  \(table\)  .*_list  the declared columns, in their order    without loan_id, .*",
    ),
    "the label column in a split": (
        in_test(lambda rows: rows.with_columns(charge_off_date=None)),
        r"test columns  \(table\)  .*_match_ordered_list  the declared columns, in their order    with charge_off_date",
    ),
    "too few rows": (
        raw(lambda rows: rows.tail(999)),
        r"raw  \(table\)  table_row_count_to_be_between  1000 to inf    999",
    ),
    "no rows": (raw(lambda rows: rows.head(0)), r"raw  \(table\)  table_row_count_to_be_between  1000 to inf    0"),
    "too many rows": (
        lambda data: replace(
            data,
            params=data.params.model_copy(
                update={"contract": data.params.contract.model_copy(update={"rows": (1, 9000)})}
            ),
        ),
        r"raw  \(table\)  table_row_count_to_be_between  1 to 9000    14521",
    ),
    "too many of the class": (
        train(lambda rows: put(rows, "(target)", 1, 0.5)),
        r"at_split/labelled  \(target\)  column_mean_to_be_between  0.001 to 0.3    0.5\d+",
    ),
    "invalid among the newest rows": (
        part("at_as_of/newest", lambda rows: put(rows, "low_doc", "Z", 0.001)),
        "at_as_of/newest  low_doc  column_values_to_be_in_set  one of Y, N  1 of [0-9,]+  Z",
    ),
    "missing beyond both limits in a part": (
        part("at_as_of/newest", lambda rows: put(rows, "sector", None, 0.4)),
        r"at_as_of/newest  sector  column_values_to_not_be_null  in 0.7 of rows  \d+ of [0-9,]+  missing",
    ),
    "too many of the class at as_of": (
        part("at_as_of/labelled", lambda rows: put(rows, "(target)", 1, 0.5)),
        r"at_as_of/labelled  \(target\)  column_mean_to_be_between  0.001 to 0.3    0.5\d+",
    ),
    "too few of the class": (
        in_test(lambda rows: put(rows, "(target)", 0)),
        r"test  \(target\)  column_mean_to_be_between  0.001 to 0.3    0",
    ),
    "a label that is no class": (
        in_test(lambda rows: put(rows, "(target)", 2, 0.002)),
        r"test  \(target\)  column_values_to_be_in_set  one of 0, 1  2 of [0-9,]+  2",
    ),
    "a label missing": (
        train(lambda rows: put(rows, "(target)", None, 0.00005)),
        r"at_split/labelled  \(target\)  column_values_to_not_be_null    1 of 9,434  missing",
    ),
    "rows in both splits": (
        lambda data: in_test(lambda rows: pl.concat([rows, data.parts[TRAINING].head(2)]))(data),
        r"test  loan_id also in at_split/labelled  column_values_to_be_null    2 of [0-9,]+  \d{10}, \d{10}",
    ),
    "dates before the window": (
        raw(lambda rows: put(rows, "approval_date", date(1996, 12, 31), 0.0001)),
        "raw  approval_date outside 1998-01-01 to before 2011-01-01  column_.*_null    2 of 14,521  1996-12-31",
    ),
    "dates after the window": (
        raw(lambda rows: put(rows, "approval_date", date(2011, 1, 1), 0.0001)),
        "raw  approval_date outside 1998-01-01 to before 2011-01-01  column_.*_null    2 of 14,521  2011-01-01",
    ),
    "an event before its start": (
        raw(lambda rows: put(rows, "charge_off_date", date(1990, 9, 9), 0.00005)),
        "raw  charge_off_date before approval_date  column_.*_null  in 0.99999 of rows  1 of 14,521  1990-09-09",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_breach_names_table_column_rows_and_examples(whole: Data, case: str) -> None:
    spoil, line = BROKEN[case]
    from champion.pipeline.validate.findings import breach_table

    (told,) = breach_table(breaches(spoil(whole))).strip().splitlines()[2:]
    # The share follows the number of rows. Cells are three spaces apart, and more where one is empty.
    line = re.sub(r"(of (?!rows)[-0-9,\\d+\[\]]+)  ", r"\1  [0-9.]+%  ", line)
    assert re.fullmatch(re.sub(" {2,}", " {3,}", line), told.strip()), told


def test_nothing_is_found_in_data_that_is_not_broken(whole: Data) -> None:
    SOUND.clear()
    assert breaches(whole) == []


def test_what_the_limits_allow_is_no_breach(whole: Data) -> None:
    spoilt = raw(lambda rows: put(put(rows, "lender", None, 0.009), "low_doc", "Z", 0.01))(whole)
    assert breaches(spoilt) == []


def test_every_breach_is_told_at_once(whole: Data) -> None:
    spoilt = raw(lambda rows: put(put(rows, "approval_date", date(1996, 1, 1), 0.001), "employees", -1, 0.5))(whole)
    spoilt = in_test(lambda rows: put(rows, "(target)", 1))(spoilt)
    assert [(finding.table, finding.column.split()[0]) for finding in breaches(spoilt)] == [
        ("raw", "approval_date"),
        ("raw", "employees"),
        ("test", "(target)"),
    ]


def with_feature(data: Data, feature: pl.DataFrame) -> Data:
    """The data with one more feature, given by loan id, as the second column."""

    def add(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.join(feature, on="loan_id", how="left", maintain_order="left").select(
            "loan_id", name, pl.exclude("loan_id", name)
        )

    name = feature.columns[-1]
    columns = {"loan_id": data.params.columns["loan_id"], name: Column(type="integer")} | data.params.columns
    params = data.params.model_copy(update={"columns": columns})
    return Data(add(data.raw), {path: add(rows) for path, rows in data.parts.items()}, params)


def test_a_column_known_only_at_the_end_of_the_loan_is_a_leak(whole: Data, sample_run: Project) -> None:
    from champion.pipeline.validate.findings import breach_table

    source = pl.read_csv(sample_run.folder / "data/source/loans.csv", infer_schema=False)
    term = source.select(pl.col("LoanNr_ChkDgt").cast(pl.Int64).alias("loan_id"), pl.col("Term").cast(pl.Int64))
    (leak,) = breaches(with_feature(whole, term.rename({"Term": "term"})))
    assert (leak.table, leak.column) == ("leaks", "term")
    assert leak.observed > whole.params.contract.leak_auc
    assert re.search(r"leaks +term +leak: ROC AUC alone +-inf to 0.85 +0\.[89]", breach_table([leak]))


@pytest.mark.parametrize(
    "leak",
    [
        pl.when(pl.col("(target)") == 1).then(None).otherwise(pl.col("loan_id") % 7),
        pl.when(pl.col("(target)") == 1).then(50).otherwise(pl.col("loan_id") % 2 * 100),
    ],
    ids=["by being missing", "in the middle of its range"],
)
def test_a_column_that_follows_the_label_is_a_leak(whole: Data, leak: pl.Expr) -> None:
    both = pl.concat([whole.parts["at_as_of/labelled"], whole.parts[TRAINING]]).unique("loan_id")
    spoilt = with_feature(whole, both.select("loan_id", leak.alias("hint")))
    assert ("leaks", "hint") in [(finding.table, finding.column) for finding in breaches(spoilt)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what Great Expectations uses
def test_the_stage_tells_the_breaches_and_leaves_every_file_as_it_was(sample_run: Project, tmp_path: Path) -> None:
    project = sample_run.copy_to(tmp_path / "project")
    path = project.folder / "data/raw.parquet"
    rows = put(put(pl.read_parquet(path), "approval_date", date(1996, 1, 1), 0.001), "low_doc", "Z", 0.5)
    path.unlink()  # a link to the cache
    rows.write_parquet(path)
    before = snapshot(project)
    with pytest.raises(SystemExit) as refused:
        run_stage(project, "validate")
    said = str(refused.value)
    assert said.startswith("error: the data breaks 2 of ")
    assert re.search(r"raw +approval_date outside .* 15 of 14,521 +0.103% +1996-01-01", said)
    assert re.search(r"raw +low_doc +column_values_to_be_in_set +one of Y, N .* of 14,\d+ +[0-9.]+% +.*Z", said)
    assert said.endswith("Correct the data, or change the contract if the data is right.")
    assert snapshot(project) == before
