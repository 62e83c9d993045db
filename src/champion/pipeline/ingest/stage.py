"""The source's rows, typed and counted, without any fact that was known only at `as_of` or later."""

from datetime import date
from pathlib import Path

import polars as pl

from champion.core.errors import NoRowsError
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.sources import read_table
from champion.table.exclusions import excluding_rule
from champion.table.window import Period


def ingest(params: IngestParams, root: Path = Path(), since: date | None = None) -> tuple[pl.DataFrame, dict[str, int]]:
    """The declared columns of every row to learn from, test or score, and the number of rows that each rule excludes.

    A row that several rules exclude counts for the first. `since` replaces the date of the oldest row. `root` is
    as in `read_table`, which raises `UserError`.
    """
    period = None if params.calendar is None else params.calendar.period
    if period is not None and since is not None:
        period = Period(since, period.end)
    table, excluded = _read_included(params, period, root)
    if params.label.kind == "event" and params.as_of is not None:
        event = pl.col(params.table.label)
        table = table.with_columns(pl.when(event < params.as_of).then(event))
    return table, excluded


def newest_date(params: IngestParams, period: Period, root: Path = Path()) -> date | None:
    """The latest date of the rows in the period that no rule excludes; None without such rows.

    The table must have dates. Raises as `ingest`.
    """
    try:
        table, _ = _read_included(params, period, root)
    except NoRowsError:
        return None
    newest: date | None = table[params.table.named("date")[0]].max()  # type: ignore[assignment]
    return newest


def _read_included(params: IngestParams, period: Period | None, root: Path) -> tuple[pl.DataFrame, dict[str, int]]:
    table = read_table(params.ingest, params.table, period, root)
    rules = params.ingest.exclude
    met = table.select(excluding_rule(rules)).to_series()
    excluded = {rule: int((met == rule).sum()) for rule in rules}
    return table.filter(met.is_null()), excluded
