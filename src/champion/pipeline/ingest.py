"""Stage 1: the source's rows inside the window, typed, with nothing known only after `as_of` -> data/raw.parquet."""

from pathlib import Path

import polars as pl

from champion.artifacts import write_parquet
from champion.data.sources import read_table
from champion.data.window import Window, labelled_window
from champion.errors import told_plainly
from champion.params import AsOf, Column, Label, Months, Sections, Source, load

RAW = Path("data/raw.parquet")


class IngestParams(Sections):
    """The sections of params.yaml that this stage reads."""

    as_of: AsOf | None
    ingest: Source
    columns: dict[str, Column]
    label: Label
    window_months: Months | None


def ingest(params: IngestParams) -> pl.DataFrame:
    """The declared columns of every row in the window. Raises `UserError` as `read_table` does."""
    window: Window | None = None
    if params.as_of is not None and params.window_months is not None:
        window = labelled_window(params.as_of, params.label.horizon_months, params.window_months)
    table = read_table(params.ingest, params.table, window)
    if params.label.kind == "event" and params.as_of is not None:
        event = pl.col(params.table.label)
        table = table.with_columns(pl.when(event < params.as_of).then(event))
    return table


def main() -> None:
    with told_plainly():
        table = ingest(load(IngestParams))
        write_parquet(RAW, table)
        print(f"{RAW}: {table.height:,} rows, {table.width} columns")


if __name__ == "__main__":
    main()
