"""Keeps what a worker answers, for the prediction log."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import count
from typing import Any, cast

from msgspec import Raw

from champion.environments import Predictions
from champion.predictions.record import Answered, Complete, Outcome, Row
from champion.predictions.spool import Spool
from champion.predictions.users import Pseudonyms
from champion.serving import metrics
from champion.serving.live_model import OpenVersion
from champion.serving.problems import Problem
from champion.serving.schema import FlagChoice, Outcomes, Prediction

LOG = logging.getLogger(__name__)


class Recorder:
    """Keeps each answer in a spool, with a pseudonym for its user."""

    def __init__(self, spool: Spool, users_key: bytes, settings: Predictions) -> None:
        self._spool = spool
        self._pseudonyms = Pseudonyms(users_key)
        self._refuses = settings.when_full == "refuse"
        self._worker, self._numbers = os.urandom(8).hex(), count()

    def check_room(self) -> None:
        """Raise `Problem` when an answer could not be kept, and must be."""
        if self._refuses and self._spool.is_full:
            raise _no_room()

    def keep(
        self,
        request_id: str,
        user_id: str | None,
        version: OpenVersion,
        choice: FlagChoice | None,
        rows: Sequence[Mapping[str, Any]],
        answered: Sequence[Prediction],
    ) -> None:
        """Keep an answer. If there is no room for it, count its rows as lost."""
        if not self._refuses and self._spool.is_full:
            metrics.UNLOGGED.inc(len(rows))
            return
        columns = version.columns
        kept = [
            Row(
                # A row has all columns, and seldom others.
                cast(Raw, row if len(row) == len(columns) else {name: row[name] for name in columns}),
                one.probability,
                one.decision,
                one.out_of_scope,
            )
            for row, one in zip(rows, answered, strict=True)
        ]
        user = None if user_id is None else self._pseudonyms.of(user_id)
        variant = None if choice is None else f"{choice.key}:{choice.variant}"
        number = next(self._numbers)
        self._spool.append(Answered(self._worker, number, time.time(), request_id, user, version.name, variant, kept))

    def keep_outcomes(self, said: Outcomes) -> None:
        """Keep what a client said of outcomes. Raises `Problem` when there is no room."""
        if self._spool.is_full:
            raise _no_room()
        now = time.time()
        for one in said.outcomes:
            day = None if one.date is None else one.date.isoformat()
            self._spool.append(Outcome(now, one.request_id, one.row, day))
        if said.complete_through is not None:
            self._spool.append(Complete(now, said.complete_through.isoformat()))

    def close(self) -> None:
        """Let all that was kept reach the file."""
        if not self._spool.close():
            LOG.error("the last answers are lost: the spool of the prediction log has no room for them")


def _no_room() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "The prediction log is full. Try again later.", headers={b"retry-after": b"5"}
    )
