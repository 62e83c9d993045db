"""The data contract of params.yaml as Great Expectations suites, and what they found."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
import polars as pl
from great_expectations.expectations.expectation import Expectation

from champion.data.fields import DTYPES
from champion.data.labels import TARGET
from champion.data.leaks import separation
from champion.data.window import Window
from champion.params import Columns, Contract, Limits

EXAMPLES = 3


@dataclass(frozen=True)
class Checked:
    """A table and what is expected of it."""

    name: str
    frame: pd.DataFrame
    expectations: list[Expectation]


@dataclass(frozen=True)
class Finding:
    """What one expectation found: `unexpected` rows, with examples, where it counts rows; else the `observed` value."""

    table: str
    column: str
    check: str
    passed: bool
    rows: int | None
    unexpected: int | None
    observed: Any
    allowed: str
    examples: list[str]


def tables_to_check(
    raw: pl.DataFrame, splits: dict[str, pl.DataFrame], columns: Columns, contract: Contract, window: Window | None
) -> Iterator[Checked]:
    """Everything the contract says, table by table: raw, each split, and what only several tables together show."""
    present = Columns({name: column for name, column in columns.items() if column.role != "ignore"})
    yield _types("raw", raw, {name: DTYPES[column.type] for name, column in present.items()})
    yield Checked("raw", raw.to_pandas(), list(_raw_expectations(present, contract, window)))
    for name, rows in splits.items():
        yield Checked(name, rows.to_pandas(), list(_split_expectations(rows, present, contract)))
    yield _overlap(splits, present.only("id"))
    yield _leaks(splits["train"], present, contract)


def check(tables: list[Checked]) -> list[Finding]:
    """Run every expectation. One that cannot run counts as not met."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    source = context.data_sources.add_pandas("champion")
    findings = []
    for number, table in enumerate(tables):
        asset = source.add_dataframe_asset(f"{number}-{table.name}")
        batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": table.frame})
        suite = gx.ExpectationSuite(f"{number}-{table.name}", expectations=table.expectations)
        result = batch.validate(suite, result_format="BASIC")
        findings += [_finding(table, outcome) for outcome in result.results]
    return sorted(findings, key=lambda finding: (finding.table, finding.column, finding.check))


def _raw_expectations(columns: Columns, contract: Contract, window: Window | None) -> Iterator[Expectation]:
    low, high = contract.rows
    yield gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(columns))
    yield gxe.ExpectTableRowCountToBeBetween(min_value=low, max_value=high)
    for name in columns:
        limits = contract.columns.get(name, Limits())
        yield from _column_expectations(columns, name, limits.max_missing, limits.max_stray)
    when = columns.only("date")
    if when is not None and window is not None:
        # By the extremes: row by row, Great Expectations compares dates one Python object at a time.
        start, end = (datetime.combine(day, time.min) for day in (window.start, window.end))
        yield gxe.ExpectColumnMinToBeBetween(column=when, min_value=start)
        yield gxe.ExpectColumnMaxToBeBetween(column=when, max_value=end, strict_max=True)
    if when is not None and columns[columns.label].type == "date":
        yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=columns.label,
            column_B=when,
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            mostly=1 - contract.max_events_before_start,
        )


def _split_expectations(rows: pl.DataFrame, columns: Columns, contract: Contract) -> Iterator[Expectation]:
    low, high = contract.class_share
    yield gxe.ExpectTableColumnsToMatchOrderedList(column_list=rows.columns)
    yield gxe.ExpectColumnValuesToBeInSet(column=TARGET, value_set=[0, 1])
    yield gxe.ExpectColumnValuesToNotBeNull(column=TARGET)
    yield gxe.ExpectColumnMeanToBeBetween(column=TARGET, min_value=low, max_value=high)
    for name in columns.named("feature"):
        limits = contract.columns.get(name, Limits())
        yield from _column_expectations(columns, name, min(1.0, limits.max_missing + limits.max_stray), 0.0)


def _column_expectations(columns: Columns, name: str, missing: float, stray: float) -> Iterator[Expectation]:
    spec = columns[name]
    if missing < 1:
        yield gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=1 - missing)
    if spec.role == "id":
        yield gxe.ExpectColumnValuesToBeUnique(column=name)
    if spec.values is not None:
        yield gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(spec.values), mostly=1 - stray)
    if spec.range is not None:
        low, high = spec.range
        yield gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high, mostly=1 - stray)


def _types(name: str, table: pl.DataFrame, expected: dict[str, pl.DataType]) -> Checked:
    """Types are compared exactly, from the Parquet schema: Great Expectations' own type checks are loose."""
    frame = pd.DataFrame(
        [(column, str(dtype), str(table.schema.get(column))) for column, dtype in expected.items()],
        columns=["column", "declared type", "found type"],
    )
    same = gxe.ExpectColumnPairValuesToBeEqual(column_A="declared type", column_B="found type")
    return Checked(f"{name} types", frame, [same])


def _overlap(splits: dict[str, pl.DataFrame], key: str | None) -> Checked:
    """Rows of both splits: by the id when there is one, else by all columns."""
    train, test = splits.values()
    on = [key] if key is not None else train.columns
    shared = test.join(train, on=on, how="semi", nulls_equal=True)
    frame = pd.DataFrame({"rows in both splits": [shared.height]})
    return Checked("splits", frame, [gxe.ExpectColumnMaxToBeBetween(column="rows in both splits", max_value=0)])


def _leaks(train: pl.DataFrame, columns: Columns, contract: Contract) -> Checked:
    frame = pd.DataFrame({name: [separation(train[name], train[TARGET])] for name in columns.named("feature")})
    expectations = [gxe.ExpectColumnMaxToBeBetween(column=name, max_value=contract.leak_auc) for name in frame.columns]
    return Checked("leaks", frame, list(expectations))


def _finding(table: Checked, outcome: Any) -> Finding:
    config, result = outcome.expectation_config, outcome.result or {}
    kwargs = config.kwargs
    unexpected = result.get("unexpected_count")
    return Finding(
        table=table.name,
        column=" / ".join(kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs) or "(table)",
        check=config.type.removeprefix("expect_"),
        passed=bool(outcome.success),
        rows=result.get("element_count"),
        unexpected=unexpected,
        observed=None if unexpected is not None else result.get("observed_value"),
        allowed=_allowed(kwargs),
        examples=sorted({_shown(value) for value in result.get("partial_unexpected_list", [])})[:EXAMPLES],
    )


def _allowed(kwargs: dict[str, Any]) -> str:
    parts = []
    if "value_set" in kwargs:
        parts.append("one of " + ", ".join(str(value) for value in kwargs["value_set"]))
    if kwargs.get("min_value") is not None or kwargs.get("max_value") is not None:
        parts.append(f"{_shown(kwargs.get('min_value'), '-inf')} to {_shown(kwargs.get('max_value'), 'inf')}")
    if "column_list" in kwargs:
        parts.append(", ".join(kwargs["column_list"]))
    if kwargs.get("mostly", 1) < 1:
        parts.append(f"in {kwargs['mostly']:.6g} of rows")
    return " ".join(parts)


def _shown(value: Any, nothing: str = "missing") -> str:
    if value is None or value is pd.NaT:
        return nothing
    return value.isoformat() if isinstance(value, date) else str(value)
