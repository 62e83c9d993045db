"""The data contract of params.yaml as expectations of Great Expectations."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import great_expectations.expectations as gxe
import pandas as pd
import polars as pl
from great_expectations.expectations.expectation import Expectation

from champion.pipeline.validate.leaks import separation
from champion.pipeline.validate.params import Contract, Limits
from champion.table.columns import FOLD, TARGET, Columns, dtype
from champion.table.window import Calendar

LARGEST = sys.float_info.max
# The part from which the judged model learns.
TRAINING = "at_split/labelled"
# The table with the ROC AUC of each feature alone.
LEAKS = "leaks"


@dataclass(frozen=True)
class Checked:
    """A table and its expectations."""

    name: str
    frame: pd.DataFrame
    expectations: list[Expectation]


def tables_to_check(
    raw: pl.DataFrame,
    parts: dict[str, pl.DataFrame],
    columns: Columns,
    contract: Contract,
    calendar: Calendar | None,
) -> Iterator[Checked]:
    """All expectations of the contract, table by table; if columns or types are wrong, only those about them.

    `parts` are prepared parts by name, of which `test` and the one from which the judged model learns must be there.
    """
    present = Columns({name: column for name, column in columns.items() if column.role != "ignore"})
    declared = {name: dtype(column.type) for name, column in present.items()}
    kept = {name: declared[name] for name, column in present.items() if column.role not in ("label", "known")}
    tables = {"raw": (raw, declared)}
    for name, rows in parts.items():
        tables[name] = (rows, kept | _made(name, calendar))
    for name, (table, expected) in tables.items():
        yield _structure(f"{name} columns", table, expected)
    if any(table.schema != pl.Schema(expected) for table, expected in tables.values()):
        return
    yield _raw(raw, present, contract, calendar)
    for name, rows in parts.items():
        yield Checked(name, rows.to_pandas(), list(_part_expectations(rows, present, contract)))
    training = parts[TRAINING]
    yield _overlap(training, parts["test"], present.only("id"))
    if calendar is not None:
        training = training.filter(pl.col(present.only("date") or "") >= calendar.first_trained(calendar.split))
    yield _leaks(training, present, contract)


def _made(name: str, calendar: Calendar | None) -> dict[str, pl.DataType]:
    """The columns that prepare makes in this part."""
    made: dict[str, pl.DataType] = {} if name.endswith("newest") else {TARGET: pl.Int8()}
    if calendar is None and name == TRAINING:
        made[FOLD] = pl.Int8()
    return made


def _structure(name: str, table: pl.DataFrame, expected: dict[str, pl.DataType]) -> Checked:
    """Compare types exactly, with the Parquet schema, because Great Expectations' own type checks are not exact."""
    frame = pd.DataFrame({column: [str(found)] for column, found in table.schema.items()})
    expectations: list[Expectation] = [gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(expected))]
    for column, expected_type in expected.items():
        if column in table.columns:
            expectations.append(gxe.ExpectColumnDistinctValuesToBeInSet(column=column, value_set=[str(expected_type)]))
    return Checked(name, frame, expectations)


def _raw(raw: pl.DataFrame, columns: Columns, contract: Contract, calendar: Calendar | None) -> Checked:
    low, high = contract.rows
    expectations: list[Expectation] = [gxe.ExpectTableRowCountToBeBetween(min_value=low, max_value=high)]
    for name in columns:
        limits = contract.columns.get(name, Limits())
        expectations += _column_expectations(columns, name, limits.max_missing, limits.max_invalid)
    # Dates are compared here, because Great Expectations compares one Python object at a time, which is slow.
    when = columns.only("date")
    if when is not None and calendar is not None:
        name = f"{when} outside {calendar.start} to before {calendar.as_of}"
        outside = (pl.col(when) < calendar.start) | (pl.col(when) >= calendar.as_of)
        raw = raw.with_columns(pl.when(outside).then(when).alias(name))
        expectations.append(gxe.ExpectColumnValuesToBeNull(column=name))
    if when is not None and columns[columns.label].type == "date":
        name = f"{columns.label} before {when}"
        raw = raw.with_columns(pl.when(pl.col(columns.label) < pl.col(when)).then(columns.label).alias(name))
        expectations.append(gxe.ExpectColumnValuesToBeNull(column=name, mostly=1 - contract.max_events_before_start))
    return Checked("raw", raw.to_pandas(), expectations)


def _part_expectations(rows: pl.DataFrame, columns: Columns, contract: Contract) -> Iterator[Expectation]:
    if TARGET in rows.columns:
        low, high = contract.class_share
        yield gxe.ExpectColumnValuesToBeInSet(column=TARGET, value_set=[0, 1])
        yield gxe.ExpectColumnValuesToNotBeNull(column=TARGET)
        yield gxe.ExpectColumnMeanToBeBetween(column=TARGET, min_value=low, max_value=high)
    for name in columns.features:
        limits = contract.columns.get(name, Limits())
        yield from _column_expectations(columns, name, min(1.0, limits.max_missing + limits.max_invalid), 0.0)


def _column_expectations(columns: Columns, name: str, missing: float, invalid: float) -> Iterator[Expectation]:
    spec = columns[name]
    if missing < 1:
        yield gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=1 - missing)
    if spec.role == "id":
        yield gxe.ExpectColumnValuesToBeUnique(column=name)
    if spec.values is not None:
        yield gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(spec.values), mostly=1 - invalid)
    low, high = spec.range or (None, None)
    if spec.type == "number":
        low, high = (-LARGEST if low is None else low), (LARGEST if high is None else high)
    if low is not None or high is not None:
        yield gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high, mostly=1 - invalid)


def _overlap(training: pl.DataFrame, test: pl.DataFrame, key: str | None) -> Checked:
    """Rows that are both learned from and tested, found by the id if there is one, else by all columns."""
    on = test.columns if key is None else [key]
    # Columns are named by their place, so none has the name of the row number.
    rows, learned = (
        part.select(pl.col(name).alias(str(place)) for place, name in enumerate(on)) for part in (test, training)
    )
    numbered = rows.with_row_index("row")
    shared = numbered.join(learned, on=rows.columns, how="semi", nulls_equal=True)["row"]
    name, shown = ("row number", "row") if key is None else (key, "0")
    found = numbered.select(
        pl.when(pl.col("row").is_in(shared.implode())).then(shown).alias(f"{name} also in {TRAINING}")
    )
    return Checked("test", found.to_pandas(), [gxe.ExpectColumnValuesToBeNull(column=found.columns[0])])


def _leaks(training: pl.DataFrame, columns: Columns, contract: Contract) -> Checked:
    labelled = training.drop_nulls(TARGET)
    frame = pd.DataFrame({name: [separation(labelled[name], labelled[TARGET])] for name in columns.features})
    expectations = [gxe.ExpectColumnMaxToBeBetween(column=name, max_value=contract.leak_auc) for name in frame.columns]
    return Checked(LEAKS, frame, list(expectations))
