"""The binary target, made from the label column."""

import polars as pl

from champion.table.columns import TARGET, Columns, Label


def label_rows(columns: Columns, label: Label) -> pl.Expr:
    """The target as 0 or 1, or null if the label is not known.

    An event label is 1 if the event's date is at most `horizon_months` after the row's date, else 0 (a later event or
    no event). A value label is 1 for each value of `positive`, 0 for any other value, and null for a missing value.
    """
    column = pl.col(columns.label)
    if label.kind == "event":
        deadline = pl.col(columns.named("date")[0]).dt.offset_by(f"{label.horizon_months}mo")
        happened = pl.when(deadline.is_not_null()).then((column <= deadline).fill_null(False)).otherwise(None)
    elif columns[columns.label].type == "category":
        happened = column.is_in([str(value) for value in label.positive])
    else:
        happened = column.cast(pl.Float64).is_in([float(value) for value in label.positive])
    return happened.cast(pl.Int8).alias(TARGET)
