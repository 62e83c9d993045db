"""The decision of both models: from which probability up a row is called positive."""

import polars as pl

from champion.core.errors import UserError
from champion.model.decision import Decision, best_share, lowest_cut
from champion.model.scores import REHEARSED_AT, SCORE
from champion.table.columns import TARGET


def share_to_flag(decision: Decision, choosing: pl.DataFrame) -> float | None:
    """The share of rows to call positive; None when a probability decides. Costs or a metric choose it by rehearsals.

    Raises `UserError` when there is no rehearsal to choose it by.
    """
    goal = decision.costs or decision.maximise
    if goal is None:
        return decision.share
    if choosing.is_empty():
        raise UserError(
            "params.yaml: `decision`: the history is too short to rehearse, so no share can be chosen. Give `share` or "
            "`probability`, or older rows."
        )
    folds = [(rows[TARGET].to_numpy(), rows[SCORE].to_numpy()) for rows in choosing.partition_by(REHEARSED_AT)]
    return best_share(folds, goal)


def cut_of(decision: Decision, share: float | None, scores: pl.DataFrame) -> float:
    """The lowest probability that is called positive: it flags at most the share of these scores.

    Raises `UserError` when there are no scores to take a share of.
    """
    if share is None:
        return float(decision.probability or 0.0)
    if scores.is_empty():
        raise UserError(
            "params.yaml: `decision`: no row is new at a model's date (without dates: in a rehearsal), so there is no "
            "share of them. Give a `probability`, or correct `as_of` or `split`."
        )
    return lowest_cut(scores[SCORE].to_numpy(), share)
