"""The query that counts what was answered and what became of it: few rows, however many the log has."""

import math
from typing import Any

import sqlalchemy as sa

from champion.predictions.tables import Tables

# The upper ends of the bins of a probability, but the last: equal steps of its log odds, as events can be rare.
EDGES = tuple(1 / (1 + math.exp(-step / 2)) for step in range(-11, 12))


def tally_query(tables: Tables, environment: str) -> "sa.Select[Any]":
    """The environment's answers, counted: the fields of `Tally`. Days are texts, and of UTC; `bin` counts from 0."""
    table, outcomes = tables.predictions.c, tables.outcomes.c
    bins = sa.case(*((table.probability < edge, number) for number, edge in enumerate(EDGES)), else_=len(EDGES))
    columns = (
        table.version,
        table.variant,
        table.decision,
        sa.case((table.probability.is_not(None), bins)).label("bin"),
        sa.func.substr(table.time, 1, 10).label("day"),
        outcomes.day.label("event"),
    )
    # A column's number in place of its name: databases disagree on whose name counts.
    numbers = [sa.text(str(number)) for number in range(1, len(columns) + 1)]
    return (
        sa.select(*columns, sa.func.count().label("rows"), sa.func.sum(table.probability).label("probability"))
        .select_from(tables.with_outcomes)
        .where(table.environment == environment)
        .group_by(*numbers)
    )
