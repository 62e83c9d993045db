"""The binary target, made from the label column."""

from datetime import date

import polars as pl

from champion.table.columns import TARGET, Columns, Label
from champion.table.window import offset


def label_rows(columns: Columns, label: Label, as_of: date | None) -> pl.Expr:
    """The target as 0 or 1, or null if the label is not known at `as_of` or the source does not know the outcome.

    An event label is 1 if the event's date is less than `horizon` after the row's date, else 0 (a later event or no
    event). A value label is 1 for each value of `positive`, 0 for any other value, and null for a missing value. Both
    are known from `horizon` after the row's date on, even if the event came sooner: if events counted at once, the
    rows known so far would hold too many of them.
    """
    column, when = pl.col(columns.label), columns.only("date")
    if label.kind == "event":
        happened = (column < known_from(columns, label)).fill_null(False)
    elif columns[columns.label].type == "category":
        happened = column.is_in([str(value) for value in label.positive])
    else:
        happened = column.cast(pl.Float64).is_in([float(value) for value in label.positive])
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
