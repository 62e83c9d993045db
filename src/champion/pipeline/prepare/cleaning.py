"""What prepare takes away: repeated rows and values that cannot be right."""

import polars as pl

from champion.table.columns import Columns


def is_invalid(columns: Columns, name: str) -> pl.Expr | None:
    """True where a value lies outside the column's `values` or `range`; None when it declares neither."""
    spec, column = columns[name], pl.col(name)
    if spec.values is not None:
        return ~column.is_in(spec.values)
    if spec.range is not None:
        low, high = spec.range
        outside = pl.lit(False)
        if low is not None:
            outside = outside | (column < low)
        if high is not None:
            outside = outside | (column > high)
        return outside
    return None


def empty_invalid(table: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """The table with every invalid value of a feature made missing."""
    emptied = []
    for name in columns.named("feature"):
        invalid = is_invalid(columns, name)
        if invalid is not None:
            emptied.append(pl.when(~invalid).then(pl.col(name)).alias(name))
    return table.with_columns(emptied)


def drop_repeated(table: pl.DataFrame, key: str | None) -> pl.DataFrame:
    """The table without the later copies of rows that are equal in every column; order is kept."""
    if key is not None and table[key].n_unique() == table.height:
        return table  # equal rows would have equal ids
    return table.unique(keep="first", maintain_order=True)
