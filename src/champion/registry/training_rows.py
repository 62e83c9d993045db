"""Which rows a model has not seen in training."""

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
    """One number per row, the same for the same values of these columns on any machine, shape (rows,)."""
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise UserError(f"the column {missing[0]!r}, by which training rows are known, is not in the held-out rows.")
    values = rows.select(columns).iter_rows()
    digests = b"".join(hashlib.blake2b(repr(row).encode(), digest_size=8).digest() for row in values)
    return np.frombuffer(digests, dtype="<u8")


def key_columns(schema: Mapping[str, Any]) -> list[str]:
    """The columns that tell one row from another: the id, or all of them where there is none."""
    if schema["id"] is not None:
        return [schema["id"]]
    dated = [schema["date"]] if schema["date"] is not None else []
    return [*dated, *(feature["name"] for feature in schema["features"]), schema["target"]]


def pack(keys: Keys) -> bytes:
    """The set of keys as bytes, whatever their order."""
    return np.unique(keys).astype("<u8").tobytes()


def seen(rows: pl.DataFrame, training_rows: bytes, window: Mapping[str, Any]) -> NDArray[np.bool_]:
    """True for the rows that a model trained on, shape (rows,).

    `training_rows` and `window` are what the registry keeps of the model. Rows without an id are told apart by their
    values, which another window's cleaning may change: then a row dated within the training window counts as seen.
    """
    known = np.isin(row_keys(rows, window["key"]), np.frombuffer(training_rows, dtype="<u8"))
    when, train = window["date"], window["train"]
    if window["id"] is None and window["strategy"] == "out_of_time" and when is not None:
        if when not in rows.columns:
            raise UserError(f"the column {when!r}, by which training rows are known, is not in the held-out rows.")
        first, last = (date.fromisoformat(train[end]) for end in ("first", "last"))
        known |= rows[when].is_between(first, last).to_numpy()
    return known
