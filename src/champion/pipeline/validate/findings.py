"""The results of the expectations: as rows, as a table of breaches, and as the report in git."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import great_expectations as gx
import pandas as pd

from champion.pipeline.validate.expectations import LEAKS, Checked

EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """The result of one expectation: `unexpected` rows with examples if it counts rows, else the `observed` value.

    `share` is that of the unexpected rows, for valid values of those that have a value.
    """

    table: str
    column: str
    check: str
    passed: bool
    rows: int | None
    unexpected: int | None
    share: float | None
    observed: Any
    allowed: str
    examples: list[str]


def check(tables: list[Checked]) -> list[Finding]:
    """Run every expectation. An expectation that cannot run counts as not met."""
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


def breach_table(findings: list[Finding]) -> str:
    """The failed findings as a plain text table: where, which expectation, the number and share of rows, examples."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE)
    for header in ("table", "column", "expectation", "allowed", "rows", "share", "found"):
        table.add_column(header, overflow="fold")
    for finding in findings:
        found = ", ".join(finding.examples) or (
            "could not be checked" if finding.observed is None else _text(finding.observed)
        )
        rows = "" if finding.unexpected is None else f"{finding.unexpected:,} of {finding.rows:,}"
        share = "" if finding.share is None else f"{finding.share:.3%}"
        check = "leak: ROC AUC alone" if finding.table == LEAKS else finding.check
        table.add_row(finding.table, finding.column, check, finding.allowed, rows, share, found)
    console = Console(width=160, no_color=True)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def summarise(findings: list[Finding], tables: list[Checked]) -> dict[str, Any]:
    """The report in git, as lists: the number of rows of each table, and every check with its result."""
    return {
        "tables": [
            {"name": table.name, "rows": len(table.frame)}
            for table in tables
            if not table.name.endswith(" columns") and table.name != LEAKS
        ],
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
        share=None if unexpected is None else (result.get("unexpected_percent") or 0.0) / 100,
        observed=None if unexpected is not None else _observed(kwargs, result.get("observed_value")),
        allowed=_allowed(kwargs),
        examples=sorted({_shown(value) for value in result.get("partial_unexpected_list", [])})[:EXAMPLES],
    )


def _observed(kwargs: dict[str, Any], value: Any) -> Any:
    """The observed value; for a list of columns, its first difference from the expected list."""
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
