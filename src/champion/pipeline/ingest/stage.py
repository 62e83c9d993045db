"""The source's rows, typed and counted, without any fact that was known only at `as_of` or later."""

import polars as pl

from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.sources import read_table
from champion.table.exclusions import meets


def ingest(params: IngestParams) -> tuple[pl.DataFrame, dict[str, int]]:
    """The declared columns of every row to learn from, test or score, and the number of rows that each rule excludes.

    A row that several rules exclude counts for the first. Raises `UserError` as `read_table` does.
    """
    table = read_table(params.ingest, params.table, params.calendar)
    excluded = {}
    for name, conditions in params.ingest.exclude.items():
        met = table.select(meets(conditions)).to_series()
        excluded[name] = int(met.sum())
        table = table.filter(~met)
    if params.label.kind == "event" and params.as_of is not None:
        event = pl.col(params.table.label)
        table = table.with_columns(pl.when(event < params.as_of).then(event))
    return table, excluded
