"""The binary target, made from the label column."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from champion.core.errors import UserError
from champion.core.values import quoted
from champion.table.columns import TARGET, Columns, Label
from champion.table.window import offset

# So many values of the label are listed at most.
SHOWN = 10


def label_rows(columns: Columns, label: Label, as_of: date | None) -> pl.Expr:
    """The target as 0 or 1, or null if the label is not known at `as_of` or the source does not know the outcome.

    An event label is 1 if the event's date is less than `horizon` after the row's date, else 0 (a later event or no
    event). A value label is 1 for each value of `positive`, 0 for each one of `negative` (without those, for any other
    value), and null for a missing value. Both are known from `horizon` after the row's date on, even if the event came
    sooner: if events counted at once, the rows known so far would hold too many of them.
    """
    when = columns.only("date")
    if label.kind == "event":
        happened = (pl.col(columns.label) < known_from(columns, label)).fill_null(False)
    else:
        happened = _value(columns, label)
    known = pl.lit(True)
    if when is not None and as_of is not None:
        known = known_from(columns, label) <= as_of
    outcome = columns.only("known")
    if outcome is not None:
        known &= pl.col(outcome).fill_null(False)
    return pl.when(known).then(happened).cast(pl.Int8).alias(TARGET)


def known_from(columns: Columns, label: Label) -> pl.Expr:
    """The date from which a row's label is known."""
    return pl.col(columns.named("date")[0]).dt.offset_by(offset(label.horizon))


def _value(columns: Columns, label: Label) -> pl.Expr:
    """True for a positive value, false for a negative one, null for any other and a missing one."""
    kind: type[str | float] = str if columns[columns.label].type == "category" else float
    column = pl.col(columns.label) if kind is str else pl.col(columns.label).cast(pl.Float64)
    positive, negative = ([kind(value) for value in side] for side in (label.positive, label.negative))
    is_negative = column.is_in(negative) if negative else column.is_not_null()
    return pl.when(column.is_in(positive)).then(True).when(is_negative).then(False)


@dataclass(frozen=True)
class LabelValue:
    """A value in the label column (None: missing), what it counts as (None: no label), and its number of rows."""

    value: str | None
    counts_as: bool | None
    rows: int


def count_label_values(raw: pl.DataFrame, columns: Columns, label: Label) -> list[LabelValue]:
    """The values of a value label by their number of rows, largest first; a missing value comes last."""
    counted = (
        raw.group_by(columns.label)
        .len()
        .with_columns(counts_as=_value(columns, label), text=pl.col(columns.label).cast(pl.String))
        .sort(pl.col("text").is_null(), -pl.col("len").cast(pl.Int64), "text")
    )
    return [LabelValue(*row) for row in counted.select("text", "counts_as", "len").iter_rows()]


def describe_label_values(values: list[LabelValue]) -> list[str]:
    """A line for each of the largest values, and one for all others."""
    lines = [
        f"{'missing' if one.value is None else quoted(one.value)}"
        f" ({'no label' if one.counts_as is None else int(one.counts_as)}): {one.rows:,} rows"
        for one in values
    ]
    if len(lines) <= SHOWN:
        return lines
    rest = values[SHOWN - 1 :]
    return [*lines[: SHOWN - 1], f"{len(rest):,} other values: {sum(one.rows for one in rest):,} rows"]


def check_label_values(values: list[LabelValue], columns: Columns, label: Label) -> None:
    """Raise a `UserError` that lists the values unless some are positive, some negative, and all others declared so."""
    given = [one for one in values if one.value is not None]
    for key, side in (("positive", True), ("negative", False)):
        declared: tuple[str | bool | int, ...] = getattr(label, key)
        if given and declared and not any(one.counts_as is side for one in given):
            raise UserError(
                f"the label column {columns.label!r} holds no value of `label.{key}` "
                f"({', '.join(quoted(str(value)) for value in declared[:SHOWN])}). {_found(given)} Correct "
                f"`label.{key}` in params.yaml."
            )
    others = [one for one in given if one.counts_as is False]
    if len(others) > 1 and not label.negative:
        raise UserError(
            f"the label column {columns.label!r} holds {len(others):,} values that are not in `label.positive`. "
            f"{_found(given)} List those that count as 0 as `label.negative` in params.yaml; a row with any other "
            "value then has no label."
        )


def _found(given: list[LabelValue]) -> str:
    shown = ", ".join(f"{quoted(str(one.value))} ({one.rows:,} rows)" for one in given[:SHOWN])
    return f"It holds {shown}{f' and {len(given) - SHOWN:,} more' if len(given) > SHOWN else ''}."
