"""Numbers that identify rows and groups by their values, the same on any machine."""

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


def row_keys(rows: pl.DataFrame, columns: list[str]) -> Keys:
    """One number per row, shape (rows,); equal values in these columns give equal numbers."""
    values = rows.select(columns).iter_rows()
    digests = b"".join(hashlib.blake2b(repr(row).encode(), digest_size=8).digest() for row in values)
    return np.frombuffer(digests, dtype="<u8")


def group_keys(rows: pl.DataFrame, group: str | None, columns: list[str]) -> Keys:
    """One number per row, the same for rows of one group. A row without a group is a group of its own.

    `columns` identify a row.
    """
    keys = row_keys(rows, columns)
    if group is None:
        return keys
    # The complement, because the id 3 must not join the group 3.
    return np.where(rows[group].is_null(), ~keys, row_keys(rows, [group]))
