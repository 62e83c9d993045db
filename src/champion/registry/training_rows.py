"""Which rows a judged model learned from."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from champion.core.errors import UserError
from champion.core.files import read_json, read_parquet
from champion.core.layout import AT_SPLIT, LABELLED
from champion.table.columns import TARGET
from champion.table.dataset import Dataset, Schema
from champion.table.keys import Keys, row_keys

# What the target was called when versions were registered before it had a name that no column of a table has.
FORMER_TARGET = "target"


def key_columns(schema: Mapping[str, Any]) -> list[str]:
    """The columns that identify a row: the id, or all columns if there is no id."""
    if schema["id"] is not None:
        return [schema["id"]]
    features = (feature["name"] for feature in schema["features"])
    named = [schema["date"], schema["group"], *schema["segments"], *features, TARGET]
    return [name for name in dict.fromkeys(named) if name is not None]


def learned(schema: Path, parts: Path, labelled: Path) -> tuple[dict[str, Any], bytes]:
    """The window, which describes the data, and the packed keys of the rows from which the judged model learned."""
    described = read_json(schema)
    key = key_columns(described)
    window = {name: value for name, value in described.items() if name != "features"} | read_json(parts)
    data = Dataset(read_parquet(labelled), Schema.read(schema))
    return window | {"key": key}, pack(row_keys(data.judged.rows, key))


def pack(keys: Keys) -> bytes:
    """The set of keys as bytes; the order of `keys` does not matter."""
    return np.unique(keys).astype("<u8").tobytes()


def seen(rows: pl.DataFrame, training_rows: bytes, window: Mapping[str, Any]) -> NDArray[np.bool_]:
    """True for the rows that a judged model learned from, shape (rows,).

    `training_rows` and `window` are what `learned` gave. Without an id, values identify rows, but cleaning may change
    them in another window. So without an id, every row with a date in the training part also counts as seen.
    """
    when, train = window["date"], _training_part(window)
    by_date = window["id"] is None and when is not None and "first" in train
    key = list(window["key"])
    # Without an id, the target is the last part of the key.
    if window["id"] is None and key[-1] == FORMER_TARGET:
        key[-1] = TARGET
    for name in [*key, *([when] if by_date else [])]:
        if name not in rows.columns:
            raise UserError(f"the test rows lack the column {name!r}, which identifies training rows. Add it.")
    known = np.isin(row_keys(rows, key), np.frombuffer(training_rows, dtype="<u8"))
    if by_date:
        first, last = (date.fromisoformat(train[end]) for end in ("first", "last"))
        known |= rows[when].is_between(first, last).to_numpy()
    return known


def _training_part(window: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of the data from which the model learned, with its `first` and `last` date if it was split by date."""
    if "parts" in window:
        part: Mapping[str, Any] = next(one for one in window["parts"] if one["part"] == str(AT_SPLIT / LABELLED))
        return part
    # A version that was registered before there were two models.
    return window["train"] if window["strategy"] == "out_of_time" else {}
