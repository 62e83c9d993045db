"""Which rows are for training and which are held out."""

from datetime import date

import polars as pl

from champion.core.errors import UserError
from champion.pipeline.prepare.params import Split
from champion.table.columns import TARGET


def split_rows(table: pl.DataFrame, split: Split, date_column: str | None, holdout_from: date | None) -> pl.Series:
    """True for the held-out rows: all rows from `holdout_from` on, or a seeded share of each class.

    Raises `UserError` when either side would be empty or have only one class.
    """
    if split.strategy == "out_of_time" and date_column is not None and holdout_from is not None:
        held_out = table[date_column] >= holdout_from
    else:
        held_out = _stratified(table[TARGET], split)
    for side, rows in (("training", table.filter(~held_out)), ("held-out", table.filter(held_out))):
        if rows[TARGET].n_unique() < 2:
            what = "no rows" if rows.is_empty() else "rows of only one class"
            raise UserError(
                f"the {side} split has {what}, so no model can be trained or scored on it. Correct `split`, "
                "`window_months`, `as_of` or `label` in params.yaml."
            )
    return held_out


def _stratified(target: pl.Series, split: Split) -> pl.Series:
    from sklearn.model_selection import train_test_split

    if min(target.eq(value).sum() for value in (0, 1)) < 2:
        raise UserError("each class needs at least two rows, and one has fewer. Correct `label` in params.yaml.")
    try:
        _, chosen = train_test_split(
            range(len(target)), test_size=split.test_share, random_state=split.seed, stratify=target
        )
    except ValueError:
        raise UserError(
            f"{len(target)} rows are too few to hold out {split.test_share:.0%} of each class. Give more rows, or "
            "correct `split.test_share` in params.yaml."
        ) from None
    return pl.Series(range(len(target))).is_in(sorted(chosen))
