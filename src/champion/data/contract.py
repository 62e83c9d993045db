"""The data contract of params.yaml as Great Expectations suites, and what they found."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
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
LARGEST = sys.float_info.max


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
    """Everything the contract says, table by table; only columns and types, when those are not the declared ones."""
    present = Columns({name: column for name, column in columns.items() if column.role != "ignore"})
    declared = {name: DTYPES[column.type] for name, column in present.items()}
    prepared = {name: declared[name] for name in present if name != present.label} | {TARGET: pl.Int8()}
    tables = {"raw": (raw, declared)} | {name: (rows, prepared) for name, rows in splits.items()}
    for name, (table, expected) in tables.items():
        yield _structure(f"{name} columns", table, expected)
    if any(table.schema != pl.Schema(expected) for table, expected in tables.values()):
        return
    yield _raw(raw, present, contract, window)
    for name, rows in splits.items():
        yield Checked(name, rows.to_pandas(), list(_split_expectations(present, contract)))
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


def _structure(name: str, table: pl.DataFrame, expected: dict[str, pl.DataType]) -> Checked:
    """Types are compared exactly, from the Parquet schema: Great Expectations' own type checks are loose."""
    frame = pd.DataFrame({column: [str(dtype)] for column, dtype in table.schema.items()})
    expectations: list[Expectation] = [gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(expected))]
    for column, dtype in expected.items():
        if column in table.columns:
            expectations.append(gxe.ExpectColumnDistinctValuesToBeInSet(column=column, value_set=[str(dtype)]))
    return Checked(name, frame, expectations)


def _raw(raw: pl.DataFrame, columns: Columns, contract: Contract, window: Window | None) -> Checked:
    low, high = contract.rows
    expectations: list[Expectation] = [gxe.ExpectTableRowCountToBeBetween(min_value=low, max_value=high)]
    for name in columns:
        limits = contract.columns.get(name, Limits())
        expectations += _column_expectations(columns, name, limits.max_missing, limits.max_stray)
    # Dates are compared here: row by row, Great Expectations compares them one Python object at a time.
    when = columns.only("date")
    if when is not None and window is not None:
        name = f"{when} outside {window.start} to before {window.end}"
        outside = (pl.col(when) < window.start) | (pl.col(when) >= window.end)
        raw = raw.with_columns(pl.when(outside).then(when).alias(name))
        expectations.append(gxe.ExpectColumnValuesToBeNull(column=name))
    if when is not None and columns[columns.label].type == "date":
        name = f"{columns.label} before {when}"
        raw = raw.with_columns(pl.when(pl.col(columns.label) < pl.col(when)).then(columns.label).alias(name))
        expectations.append(gxe.ExpectColumnValuesToBeNull(column=name, mostly=1 - contract.max_events_before_start))
    return Checked("raw", raw.to_pandas(), expectations)


def _split_expectations(columns: Columns, contract: Contract) -> Iterator[Expectation]:
    low, high = contract.class_share
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
    low, high = spec.range or (None, None)
    if spec.type == "number":
        low, high = (-LARGEST if low is None else low), (LARGEST if high is None else high)
    if low is not None or high is not None:
        yield gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high, mostly=1 - stray)


def _overlap(splits: dict[str, pl.DataFrame], key: str | None) -> Checked:
    """Rows of both splits: by the id when there is one, else by all columns."""
    train, test = splits.values()
    name = "row number" if key is None else key
    numbered = test.with_row_index("row number") if key is None else test
    on = [key] if key is not None else train.columns
    shared = numbered.join(train, on=on, how="semi", nulls_equal=True)[name]
    found = numbered.select(pl.when(pl.col(name).is_in(shared.implode())).then(name).alias(f"{name} also in train"))
    return Checked("test", found.to_pandas(), [gxe.ExpectColumnValuesToBeNull(column=found.columns[0])])


def _leaks(train: pl.DataFrame, columns: Columns, contract: Contract) -> Checked:
    labelled = train.drop_nulls(TARGET)
    frame = pd.DataFrame({name: [separation(labelled[name], labelled[TARGET])] for name in columns.named("feature")})
    expectations = [gxe.ExpectColumnMaxToBeBetween(column=name, max_value=contract.leak_auc) for name in frame.columns]
    return Checked("leaks", frame, list(expectations))


def _finding(table: Checked, outcome: Any) -> Finding:
    config, result = outcome.expectation_config, outcome.result or {}
    kwargs = config.kwargs
    unexpected = result["unexpected_count"] if "element_count" in result else None
    return Finding(
        table=table.name,
        column=kwargs.get("column", "(table)"),
        check=config.type.removeprefix("expect_"),
        passed=bool(outcome.success),
        rows=result.get("element_count"),
        unexpected=unexpected,
        observed=None if unexpected is not None else _observed(kwargs, result.get("observed_value")),
        allowed=_allowed(kwargs),
        examples=sorted({_shown(value) for value in result.get("partial_unexpected_list", [])})[:EXAMPLES],
    )


def _observed(kwargs: dict[str, Any], value: Any) -> Any:
    """What was found; of a list of columns, the first difference from the expected one."""
    expected = kwargs.get("column_list")
    if expected is None or value == expected:
        return value
    missing = [column for column in expected if column not in value]
    if missing:
        return f"without {', '.join(missing)}"
    extra = [column for column in value if column not in expected]
    if extra:
        return f"with {', '.join(extra)}"
    has, wants = next((has, wants) for has, wants in zip(value, expected, strict=True) if has != wants)
    return f"{has} where {wants} should be"


def _allowed(kwargs: dict[str, Any]) -> str:
    parts = []
    if "value_set" in kwargs:
        parts.append("one of " + ", ".join(str(value) for value in kwargs["value_set"]))
    if kwargs.get("min_value") is not None or kwargs.get("max_value") is not None:
        parts.append(f"{_shown(kwargs.get('min_value'), '-inf')} to {_shown(kwargs.get('max_value'), 'inf')}")
    if "column_list" in kwargs:
        parts.append("the declared columns, in their order")
    if kwargs.get("mostly", 1) < 1:
        parts.append(f"in {kwargs['mostly']:.6g} of rows")
    return " ".join(parts)


def _shown(value: Any, nothing: str = "missing") -> str:
    if pd.isna(value):
        return nothing
    if isinstance(value, float):
        return f"{value:.12g}"
    return value.date().isoformat() if isinstance(value, datetime) else str(value)
