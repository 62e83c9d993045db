"""Which rows each model learns from, scores and is tested on."""

from pathlib import Path

import numpy as np
import polars as pl

from champion.core.layout import AT_AS_OF, AT_SPLIT, EARLIER, LABELLED, NEWEST, TEST
from champion.pipeline.prepare.labels import known_from
from champion.table.columns import FOLD, TARGET
from champion.table.keys import group_keys
from champion.table.params import TableParams
from champion.table.window import REHEARSALS, Calendar

Parts = dict[Path, pl.DataFrame]


def split_by_date(table: pl.DataFrame, params: TableParams, calendar: Calendar) -> Parts:
    """The rows of each part of the prepared data.

    For the models made at the split date and at `as_of`: `labelled`, the rows whose label was known that day, back to
    the first rehearsal that chooses the recipe, and `newest`, the rows that were new then, without label. Besides,
    `test`, the rows since the split date with a known label, and `earlier`, the rows of the rehearsals before it.
    """
    when, labelled = pl.col(params.table.named("date")[0]), pl.col(TARGET).is_not_null()
    known = known_from(params.table, params.label)
    parts: Parts = {}
    for folder, day in ((AT_SPLIT, calendar.split), (AT_AS_OF, calendar.as_of)):
        first = calendar.first_trained(calendar.choosing(day)[0])
        # Without a horizon, a label is known on the row's date, but a row of that day is new.
        parts[folder / LABELLED] = table.filter(labelled & (known <= day) & when.is_between(first, day, closed="left"))
        parts[folder / NEWEST] = table.filter(when.is_between(calendar.first_new(day), day, closed="left")).drop(TARGET)
    parts[TEST] = table.filter(labelled & (when >= calendar.split))
    first = calendar.first_trained(calendar.shown[0])
    parts[EARLIER] = table.filter(labelled & when.is_between(first, calendar.split, closed="left"))
    return parts


def split_by_key(table: pl.DataFrame, params: TableParams) -> Parts:
    """The same parts of a table without dates, where nothing is newest or earlier: `test` is a share of the rows.

    The side of a row, and the fold of a training row, depend only on its key, so an appended row moves no other. The
    key is the group, so a group stands on one side; a row without a group has its id, or without one all its values.
    """
    columns = params.table
    key = columns.only("id")
    identifying = [key] if key is not None else [name for name in table.columns if name != TARGET]
    drawn = group_keys(table, columns.only("group"), identifying) / 2.0**64
    share = params.split.test_share or 0.0
    fold = np.floor((drawn - share) / (1 - share) * REHEARSALS).clip(0, REHEARSALS - 1).astype(np.int8)
    labelled, held_out = table[TARGET].is_not_null().to_numpy(), drawn < share
    training = table.with_columns(pl.Series(FOLD, fold)).filter(labelled & ~held_out)
    nothing = table.clear()
    return {
        AT_SPLIT / LABELLED: training,
        AT_SPLIT / NEWEST: nothing.drop(TARGET),
        AT_AS_OF / LABELLED: nothing,
        AT_AS_OF / NEWEST: nothing.drop(TARGET),
        TEST: table.filter(labelled & held_out),
        EARLIER: nothing,
    }
