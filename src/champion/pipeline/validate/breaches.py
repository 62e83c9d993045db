"""What to do about a broken contract: leaks by that name, and the limits that would accept the data."""

import math
from collections.abc import Callable
from typing import Any

from champion.core.yaml_text import as_yaml
from champion.pipeline.validate.expectations import LEAKS, TRAINING
from champion.pipeline.validate.findings import Finding, breach_table
from champion.pipeline.validate.params import Contract, Limits
from champion.table.columns import TARGET, Columns

# A limit to paste has four decimals.
SCALE = 10_000


def limit_of(finding: Finding, columns: Columns) -> str | None:
    """The limit of `contract` that an expectation is about; None if it holds whatever the contract says."""
    match finding.check:
        case "table_row_count_to_be_between":
            return "rows"
        case "column_max_to_be_between" if finding.table == LEAKS:
            return "leak_auc"
        case "column_mean_to_be_between" if finding.column == TARGET:
            return "class_share"
        case "column_values_to_be_null" if finding.column == _before(columns):
            return "max_events_before_start"
        case "column_values_to_not_be_null" | "column_values_to_be_in_set" | "column_values_to_be_between" if (
            finding.column in columns
        ):
            return f"columns.{finding.column}"
    return None


def is_unconfirmed(finding: Finding, contract: Contract, columns: Columns) -> bool:
    """Whether nobody has confirmed the limit that an expectation is about, and it could be checked."""
    limit = limit_of(finding, columns)
    checked = finding.unexpected is not None or finding.observed is not None
    return limit is not None and checked and bool({limit, limit.partition(".")[0]} & set(contract.unconfirmed))


def describe_breaches(breaches: list[Finding], checked: int, contract: Contract, columns: Columns) -> str:
    """The breaches as a table, a sentence about each leak, and the lines that would accept the rest."""
    said = [
        f"the data breaks {len(breaches)} of {checked} expectations of `contract` in params.yaml:",
        breach_table(breaches),
        *describe_leaks(breaches, contract),
    ]
    if lines := lines_to_accept(breaches, contract, columns):
        said.append(f"These lines of `contract` would accept the shares and numbers found:\n\n{lines}\n")
    return "\n".join(said)


def describe_leaks(breaches: list[Finding], contract: Contract) -> list[str]:
    """A sentence about each feature that separates the classes better than the contract allows."""
    return [
        f"leak: alone, the feature {breach.column!r} reaches a ROC AUC of {breach.observed:.4f} in {TRAINING}; "
        f"`contract.leak_auc` is {contract.leak_auc:g}. It probably holds the outcome, or what became known after it: "
        "give it the role `ignore`. If it is known at the decision, raise `contract.leak_auc`."
        for breach in breaches
        if breach.table == LEAKS and breach.observed is not None
    ]


def lines_to_accept(breaches: list[Finding], contract: Contract, columns: Columns) -> str:
    """The lines of `contract` that would accept what was found, as YAML; none accepts a leak, or a wrong type or id."""
    accepted: dict[str, Any] = {}
    for breach in breaches:
        number = breach.observed if isinstance(breach.observed, int | float) else None
        match limit_of(breach, columns):
            case "rows" if number is not None:
                accepted["rows"] = _widened(contract.rows, number, number)
            case "class_share" if number is not None:
                bounds = accepted.get("class_share", contract.class_share)
                accepted["class_share"] = _widened(bounds, _rounded(number, math.floor), _rounded(number, math.ceil))
            case "max_events_before_start":
                accepted["max_events_before_start"] = _rounded(breach.share or 0.0, math.ceil)
    limits = {name: _limits(name, breaches, contract.columns.get(name, Limits())) for name in sorted(columns)}
    accepted |= {"columns": found} if (found := {name: one for name, one in limits.items() if one}) else {}
    return as_yaml({"contract": dict(sorted(accepted.items()))}, flow=None).partition("\n")[2] if accepted else ""


def _limits(name: str, breaches: list[Finding], now: Limits) -> dict[str, float]:
    """The limits of a column that would accept its breaches; empty if it has none."""
    found = [breach for breach in breaches if breach.column == name and breach.share is not None]
    missing, invalid = now.max_missing, now.max_invalid
    for breach in found:
        share = _rounded(breach.share or 0.0, math.ceil)
        match breach.table, breach.check:
            case "raw", "column_values_to_not_be_null":
                missing = max(missing, share)
            case "raw", "column_values_to_be_in_set" | "column_values_to_be_between":
                invalid = max(invalid, share)
    for breach in found:
        # In a prepared part, where invalid values are missing, the sum holds.
        if breach.table != "raw" and breach.check == "column_values_to_not_be_null":
            missing = max(missing, _rounded(max(0.0, (breach.share or 0.0) - invalid), math.ceil))
    limits = {"max_invalid": invalid, "max_missing": missing}
    changed = (missing, invalid) != (now.max_missing, now.max_invalid)
    return {key: limit for key, limit in limits.items() if limit} if changed else {}


def _before(columns: Columns) -> str:
    return f"{columns.label} before {columns.only('date')}"


def _rounded(share: float, to_whole: Callable[[float], int]) -> float:
    return min(1.0, to_whole(share * SCALE) / SCALE)


def _widened(bounds: Any, low: float, high: float) -> list[float | None]:
    return [min(bounds[0], low), None if bounds[1] is None else max(bounds[1], high)]
