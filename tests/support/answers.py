"""A prediction log with answers of the days that a test wants."""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

import msgspec

from champion.predictions.log import PredictionLog
from champion.predictions.record import Answered, Complete, Outcome, Record, Row
from support.serving import ROW


class Said(NamedTuple):
    """One answered row, and the day of its event."""

    day: date
    probability: float | None = 0.3
    event: date | None = None
    features: Mapping[str, Any] = ROW
    version: str = "v1"
    variant: str | None = None
    out_of_scope: str | None = None


def fill_log(environment: str, answers: Iterable[Said], complete_through: date | None = None) -> None:
    """Add these answers to the log at CHAMPION_PREDICTIONS_URL, of a cut of 0.5."""
    records: list[Record] = []
    for number, one in enumerate(answers):
        features = msgspec.Raw(msgspec.json.encode(one.features))
        decision = None if one.probability is None else one.probability >= 0.5
        row = Row(features, one.probability, decision, one.out_of_scope)
        moment = datetime.combine(one.day, time(12), UTC).timestamp()
        name = f"r{number}"
        records.append(Answered("w", number, moment, name, None, one.version, one.variant, [row]))
        if one.event is not None:
            records.append(Outcome(moment, name, 0, one.event.isoformat()))
    if complete_through is not None:
        records.append(Complete(0.0, complete_through.isoformat()))
    log = PredictionLog(os.environ["CHAMPION_PREDICTIONS_URL"], environment)
    log.prepare()
    log.add(records)
    log.close()
