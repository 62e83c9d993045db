"""Removal of repeated rows."""

import polars as pl


def drop_repeated(table: pl.DataFrame, key: str | None) -> pl.DataFrame:
    """The table with only the first of rows that are equal in every column; order is kept."""
    if key is not None and table[key].n_unique() == table.height:
        return table  # rows with different ids differ
    return table.unique(keep="first", maintain_order=True)
