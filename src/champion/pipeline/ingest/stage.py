"""The source's rows in the window, typed, without any fact that was known only after `as_of`."""

import polars as pl

from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.sources import read_table


def ingest(params: IngestParams) -> pl.DataFrame:
    """The declared columns of every row in the window. Raises `UserError` as `read_table` does."""
    table = read_table(params.ingest, params.table, params.window)
    if params.label.kind == "event" and params.as_of is not None:
        event = pl.col(params.table.label)
        table = table.with_columns(pl.when(event < params.as_of).then(event))
    return table
