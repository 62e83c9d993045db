"""Which rows a model was trained on."""

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from champion.core.errors import UserError

Keys = NDArray[np.uint64]


def row_keys(rows: pl.DataFrame, columns: list[str]) -> Keys:
    """One number per row, shape (rows,); equal values in these columns give equal numbers on any machine."""
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise UserError(f"the held-out rows lack the column {missing[0]!r}, which identifies training rows. Add it.")
    values = rows.select(columns).iter_rows()
    digests = b"".join(hashlib.blake2b(repr(row).encode(), digest_size=8).digest() for row in values)
    return np.frombuffer(digests, dtype="<u8")


def key_columns(schema: Mapping[str, Any]) -> list[str]:
    """The columns that identify a row: the id, or all columns if there is no id."""
    if schema["id"] is not None:
        return [schema["id"]]
    dated = [schema["date"]] if schema["date"] is not None else []
    return [*dated, *(feature["name"] for feature in schema["features"]), schema["target"]]


def pack(keys: Keys) -> bytes:
    """The set of keys as bytes; the order of `keys` does not matter."""
    return np.unique(keys).astype("<u8").tobytes()


def seen(rows: pl.DataFrame, training_rows: bytes, window: Mapping[str, Any]) -> NDArray[np.bool_]:
    """True for the rows that a model was trained on, shape (rows,).

    `training_rows` and `window` come from the registry. Without an id, values identify rows, but cleaning may change
    them in another window. So without an id, every row with a date in the training window also counts as seen.
    """
    known = np.isin(row_keys(rows, window["key"]), np.frombuffer(training_rows, dtype="<u8"))
    when, train = window["date"], window["train"]
    if window["id"] is None and window["strategy"] == "out_of_time" and when is not None:
        if when not in rows.columns:
            raise UserError(f"the held-out rows lack the column {when!r}, which identifies training rows. Add it.")
        first, last = (date.fromisoformat(train[end]) for end in ("first", "last"))
        known |= rows[when].is_between(first, last).to_numpy()
    return known
