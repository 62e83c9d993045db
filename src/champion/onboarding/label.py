"""When the label of an undeclared table is 1."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from champion.core.errors import UserError
from champion.core.values import quoted
from champion.onboarding.given import Given
from champion.table.columns import ColumnType

# What people call the outcome that they look for. Else it is the rarer one.
POSITIVE = {
    "1", "true", "t", "yes", "y", "positive", "pos", "+", "bad", "default", "defaulted", "charged off", "churn",
    "churned", "fraud", "dead", "died", "deceased", "failed", "failure", "fail", "sick", "ill", "malignant", "spam",
    "leave", "left", "ja", "j", "oui", "si", "sí",
}  # fmt: skip
# The same for the other one, and how its name can begin.
NEGATIVE = {
    "0", "false", "f", "no", "n", "nein", "non", "negative", "neg", "good", "ok", "paid", "alive", "benign", "healthy",
    "ham", "stay", "stayed",
}  # fmt: skip
NOT = ("non-", "not ", "no ")
# So many values are listed, and so many can be positive without being named.
SHOWN = 30


@dataclass(frozen=True)
class FoundLabel:
    """The section `label`, the target by row (null where it is not known), and why these values are positive."""

    section: dict[str, Any]
    target: pl.Series
    why: str


def find_label(table: str, values: pl.Series, kind: ColumnType, when: pl.Series | None, given: Given) -> FoundLabel:
    """The label in the target column; `when` is the date of each row, None without dates.

    Raises `UserError` when the target has one value, or several of which the user must say which are positive.
    """
    name = given.target
    if kind == "date":
        return _event(table, values, when, given)
    counts = values.drop_nulls().cast(pl.String).value_counts(sort=True).rows()
    if len(counts) < 2:
        raise UserError(f"{table}: the target {name!r} has {_listed(counts) or 'no value'}, so nothing can be learned.")
    if kind == "number" and len(counts) > 2 and not given.positive:
        raise UserError(
            f"{table}: the target {name!r} is a number with {len(counts):,} values. Champion predicts one of two "
            "outcomes: give a column that has them, or make one from this, such as whether it is above a limit."
        )
    texts = [text for text, _ in counts]
    positive, why = _positive(table, counts, given)
    negative = list(given.negative) or ([text for text in texts if text not in positive] if len(texts) > 2 else [])
    for option, side in (("--positive", positive), ("--negative", negative)):
        missing = [value for value in side if value not in texts]
        if missing:
            raise UserError(
                f"{table}: the target {name!r} has no value {missing[0]!r}. It has {_listed(counts)}. Correct {option}."
            )
    if not [text for text in texts if text not in positive]:
        raise UserError(f"{table}: each value of the target {name!r} is positive. Name fewer with --positive.")
    as_zero = set(negative) or set(texts) - set(positive)
    text = values.cast(pl.String)
    target = pl.select(
        pl.when(text.is_in(list(positive))).then(1).when(text.is_in(list(as_zero))).then(0).cast(pl.Int8)
    ).to_series()
    section: dict[str, Any] = {"kind": "value", "positive": [_typed(value, kind) for value in positive]}
    if negative:
        section["negative"] = [_typed(value, kind) for value in negative]
    if given.horizon is not None:
        section["horizon"] = given.horizon
    return FoundLabel(section, target, why)


def _event(table: str, values: pl.Series, when: pl.Series | None, given: Given) -> FoundLabel:
    if when is None or given.horizon is None:
        raise UserError(
            f"{table}: the target {given.target!r} is the date of an event. Give the date of the row with --date, and "
            "with --horizon the time in which the event counts: months such as 24, or days such as 30d."
        )
    days = given.horizon if isinstance(given.horizon, str) else f"{given.horizon}mo"
    target = (values < when.dt.offset_by(days)).fill_null(False).cast(pl.Int8)
    if target.n_unique() < 2:
        raise UserError(
            f"{table}: {'every' if target[0] else 'no'} row has its event within {given.horizon}. Correct --horizon."
        )
    return FoundLabel({"kind": "event", "horizon": given.horizon}, target, "The event comes within the horizon.")


def _positive(table: str, counts: list[tuple[str, int]], given: Given) -> tuple[tuple[str, ...], str]:
    if given.positive:
        return given.positive, "The positive values were given."
    if given.negative and len(counts) <= SHOWN:
        return tuple(text for text, _ in counts if text not in given.negative), "The negative values were given."
    if len(counts) > 2:
        raise UserError(
            f"{table}: the target {given.target!r} has {len(counts):,} values: {_listed(counts)}. Say with --positive "
            "which of them count as 1, or with --negative which count as 0 (both can be repeated). The others "
            "then count as the other."
        )
    lower = {text: text.strip().lower() for text, _ in counts}
    named = [text for text, word in lower.items() if word in POSITIVE]
    others = [text for text, word in lower.items() if word not in NEGATIVE and not word.startswith(NOT)]
    for one in (named, others):
        if len(one) == 1:
            return (one[0],), "The name of the value says so."
    # Of two equally frequent ones, the last in the alphabet.
    rarest = min(rows for _, rows in counts)
    return (max(text for text, rows in counts if rows == rarest),), "The value is the rarer one."


def _typed(value: str, kind: ColumnType) -> str | bool | int:
    if kind == "boolean":
        return value == "true"
    return int(value) if kind == "integer" else value


def _listed(counts: list[tuple[str, int]]) -> str:
    shown = ", ".join(f"{quoted(text)} ({rows:,} rows)" for text, rows in counts[:SHOWN])
    return shown + (f" and {len(counts) - SHOWN:,} more" if len(counts) > SHOWN else "")
