"""What a policy knows on a day: the triggers of the version that it serves, and the performance of its answers."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl

from champion.model.model import Model, is_positive
from champion.monitoring.drift import SCORE, measure_drift
from champion.monitoring.performance import OBSERVED_EXPECTED, Performance, measure, measure_performance
from champion.monitoring.triggers import (
    NOISY,
    Best,
    Check,
    Trigger,
    count_volume,
    find_age,
    find_drift,
    find_performance,
    find_volume,
    settle,
)
from champion.params import Challenge, Monitoring
from champion.pipeline.evaluate.params import Evaluate
from champion.retraining.replay.history import History, model_of
from champion.retraining.replay.params import Policy
from champion.table.columns import TARGET
from champion.table.window import shift


@dataclass(frozen=True)
class Version:
    """A training of that day that passed the gates, with its card."""

    day: date
    card: dict[str, Any]

    @property
    def model(self) -> Model:
        """The delivered model. Its cut is in the card."""
        return model_of(self.day)


@dataclass(frozen=True)
class Served:
    """What a policy has: the version that it serves since a day, all versions, and the day of its last training."""

    version: Version
    since: date
    versions: tuple[Version, ...]
    trained: date


@dataclass(frozen=True)
class Evidence:
    """How a policy looks at the rows: with these limits and resamples."""

    history: History
    policy: Policy
    monitoring: Monitoring
    challenge: Challenge
    evaluate: Evaluate

    def triggers(self, served: Served, day: date) -> list[Trigger]:
        """The triggers on that day, as `champion should-retrain` settles them when it is asked every day.

        So the noisy ones were also asked one `debounce` earlier.
        """
        limits, now, last = self.monitoring.triggers, moment(day), moment(served.trained)
        found = self._ask(served, day)
        before = shift(day, limits.debounce, -1)
        checks = []
        if before > served.trained and any(one.exceeded and one.name in NOISY for one in found):
            checks.append(Check(moment(before), {one.name: one.exceeded for one in self._ask(served, before)}))
        return settle(found, checks, last, limits, now)

    def performance(self, served: Served, first: date, end: date) -> Performance:
        """What the version answered: rows whose label became known lately, and the rows from `first` to `end`."""
        own = self._matured(served.version, end).filter(self.history.when >= served.since)
        waiting = self.answers(served.version, self.history.between(first, end).rows)
        name = str(served.version.day)
        known, unknown = (
            rows.with_columns(version=pl.lit(name), variant=pl.lit(None, pl.String)) for rows in (own, waiting)
        )
        promised = {name: served.version.card["metrics"][OBSERVED_EXPECTED]}
        (found,) = measure_performance(known, unknown, promised, self.monitoring.min_rows, self.evaluate)
        return found

    def answers(self, version: Version, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with what the version answers: `probability`, `decision`, and the label as `label`."""
        probability = version.model.predict(rows)
        return rows.with_columns(
            pl.Series(SCORE, probability),
            pl.Series("decision", is_positive(probability, version.card["cut"])),
            pl.col(TARGET).alias("label"),
        )

    def _ask(self, served: Served, day: date) -> list[Trigger]:
        limits, now, last = self.monitoring.triggers, moment(day), moment(served.trained)
        found = [] if self.policy.age is None else [find_age(self.policy.age, last, now)]
        if not self.policy.measured:
            return found
        if limits.performance is not None:
            found.append(self._performance(served, day, limits.performance))
        if limits.psi is not None or limits.drifted_share is not None:
            found.append(self._drift(served, day))
        if limits.volume is not None:
            found.append(self._volume(served, day, limits.volume))
        return found

    def _performance(self, served: Served, day: date, share: float) -> Trigger:
        metric = self.challenge.metric
        best = Best.of(metric, [(str(one.day), one.card["metrics"][metric]) for one in served.versions])
        rows = self._matured(served.version, day)
        measured = measure(rows, self.monitoring.min_rows, self.evaluate)
        return find_performance(share, measured, str(served.version.day), best)

    def _drift(self, served: Served, day: date) -> Trigger:
        limits, name = self.monitoring.triggers, str(served.version.day)
        first = max(shift(day, self.monitoring.window, -1), served.since)
        rows = self.answers(served.version, self.history.between(first, day).rows)
        features = [feature.name for feature in self.history.data.features]
        named = rows.with_columns(version=pl.lit(name))
        drift = measure_drift(served.version.card["reference"], features, [named], self.monitoring, name)
        return find_drift(limits.psi, limits.drifted_share, drift)

    def _volume(self, served: Served, day: date, share: float) -> Trigger:
        history, last = self.history, served.trained
        labelled = history.labelled(day).rows.filter(history.when >= history.calendar_at(last).first_trained(last))
        return find_volume(share, *count_volume(labelled, history.when, history.known, last), last)

    def _matured(self, version: Version, day: date) -> pl.DataFrame:
        """The version's answers to the rows whose label became known lately and not before it was made."""
        history = self.history
        begin = shift(day, self.monitoring.window, -1)
        unseen = (history.known > version.day) | (history.when >= version.day)
        return self.answers(version, history.labelled(day).rows.filter(unseen & (history.known > begin)))


def moment(day: date) -> datetime:
    """The first moment of the day."""
    return datetime.combine(day, time(), UTC)
