"""Stage 3: the data contract, on raw and on both splits -> metrics/validation.json, or a table of breaches and stop."""

import os
from pathlib import Path
from typing import Any

from champion.artifacts import read_json, read_parquet, sha256_of, write_json
from champion.data.window import labelled_window
from champion.errors import UserError, told_plainly
from champion.params import AsOf, Column, Contract, Label, Months, Sections, load

# Great Expectations reads this at import: a stage makes no network call.
os.environ["GX_ANALYTICS_ENABLED"] = "false"

from champion.data.contract import Checked, Finding, check, tables_to_check

RAW = Path("data/raw.parquet")
PREPARED = Path("data/prepared")
REPORT = Path("metrics/validation.json")
SEAL = Path("data/validated.json")


class ValidateParams(Sections):
    """The sections of params.yaml that this stage reads."""

    as_of: AsOf | None
    columns: dict[str, Column]
    label: Label
    window_months: Months | None
    contract: Contract


def read_tables(params: ValidateParams) -> list[Checked]:
    """Raw and both splits from disk, each with what the contract expects of it."""
    window = None
    if params.as_of is not None and params.window_months is not None:
        window = labelled_window(params.as_of, params.label.horizon_months, params.window_months)
    splits = {name: read_parquet(PREPARED / f"{name}.parquet") for name in ("train", "test")}
    return list(tables_to_check(read_parquet(RAW), splits, params.table, params.contract, window))


def breach_table(findings: list[Finding]) -> str:
    """The failed findings as plain text: where, what, how many rows, example values."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE)
    for header in ("table", "column", "expectation", "allowed", "rows", "found"):
        table.add_column(header, overflow="fold")
    for finding in findings:
        found = ", ".join(finding.examples) or (
            "could not be checked" if finding.observed is None else _text(finding.observed)
        )
        rows = "" if finding.unexpected is None else f"{finding.unexpected:,} of {finding.rows:,}"
        table.add_row(finding.table, finding.column, finding.check, finding.allowed, rows, found)
    console = Console(width=160, no_color=True)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def summarise(findings: list[Finding], tables: list[Checked]) -> dict[str, Any]:
    """The report that git keeps: rows of each table, and every check with what it found."""
    return {
        "passed": all(finding.passed for finding in findings),
        "checks": len(findings),
        "rows": {table.name: len(table.frame) for table in tables if table.name in ("raw", "train", "test")},
        "findings": [
            {
                "table": finding.table,
                "column": finding.column,
                "check": finding.check,
                "allowed": finding.allowed,
                "passed": finding.passed,
                "unexpected_rows": finding.unexpected,
                "observed": _plain(finding.observed),
            }
            for finding in findings
        ],
    }


def seal() -> dict[str, str]:
    """SHA-256 of each file that passed: train depends on this, so a loosened limit alone retrains nothing."""
    paths = [RAW, *(PREPARED / name for name in ("train.parquet", "test.parquet", "schema.json"))]
    return {str(path): sha256_of(path) for path in paths}


def _plain(observed: Any) -> Any:
    if isinstance(observed, list):
        return [_text(item) for item in observed]
    return observed if observed is None or isinstance(observed, int) else _number_or_text(observed)


def _number_or_text(value: Any) -> float | str:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def main() -> None:
    with told_plainly():
        params = load(ValidateParams)
        read_json(PREPARED / "schema.json")
        tables = read_tables(params)
        findings = check(tables)
        breaches = [finding for finding in findings if not finding.passed]
        if breaches:
            raise UserError(
                f"the data breaks {len(breaches)} of {len(findings)} expectations of `contract` in params.yaml:\n"
                f"{breach_table(breaches)}\nCorrect the data, or change the contract if the data is right."
            )
        write_json(REPORT, summarise(findings, tables))
        write_json(SEAL, seal())
        print(f"{REPORT}: all {len(findings)} expectations met")


if __name__ == "__main__":
    main()
