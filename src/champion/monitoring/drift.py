"""How much recent rows and their scores have moved from a version's drift reference."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import Any

import polars as pl

from champion.model.distribution import ColumnReference
from champion.monitoring.column_drift import ColumnDrift, CountedColumn
from champion.monitoring.significance import adjusted
from champion.params import Monitoring

SCORE = "probability"
# No column of a table is likely to have it.
SCORE_NAME = "(score)"
# Below it nothing changed, by custom. With many rows, a test finds any difference, however small.
CHANGED_PSI = 0.1


@dataclass(frozen=True)
class Drift:
    """The drift of `rows` from the reference. `score` is None if there is none to compare.

    The features are sorted by their PSI, the highest first. `findings` are sentences about what could not be compared.
    """

    rows: int
    reference_rows: int
    score: ColumnDrift | None
    features: Sequence[ColumnDrift]
    findings: Sequence[str]

    @property
    def columns(self) -> list[ColumnDrift]:
        """The score, if there is one to compare, then the features."""
        return [*([] if self.score is None else [self.score]), *self.features]

    @property
    def largest(self) -> ColumnDrift | None:
        """The column with the largest PSI, of those with a verdict; None without verdicts."""
        judged = [one for one in self.columns if one.drifted is not None]
        return max(judged, key=lambda one: one.psi or 0, default=None)

    @property
    def largest_psi(self) -> float | None:
        """That column's PSI."""
        return None if self.largest is None else self.largest.psi

    @property
    def drifted_share(self) -> float | None:
        """The share of features that drifted; None without verdicts."""
        verdicts = [one.drifted for one in self.features if one.drifted is not None]
        return sum(verdicts) / len(verdicts) if verdicts else None

    def describe(self) -> dict[str, Any]:
        """The drift as JSON."""
        return asdict(self) | {"largest_psi": self.largest_psi, "drifted_share": self.drifted_share}


class DriftCounts:
    """The rows that `add` was given, part by part, as counts of the reference's bins: memory does not grow with rows.

    `reference` is what `reference.json` holds. `features` are the columns of the rows that a model reads. With a
    `version`, only rows whose column `version` has it count for the score, as other versions score otherwise.
    """

    def __init__(self, reference: Mapping[str, Any], features: Iterable[str], version: str | None = None) -> None:
        self.rows, self._version = 0, version
        self._reference_rows = int(reference["rows"])
        columns = {name: (one["type"], ColumnReference.parse(one)) for name, one in reference["features"].items()}
        self._unknown = [name for name in features if name not in columns and self._reference_rows]
        self._columns = {name: CountedColumn(name, kind, column) for name, (kind, column) in columns.items()}
        score = reference["score"]
        self._score = None if score is None else CountedColumn(SCORE_NAME, "number", ColumnReference.parse(score))

    def add(self, rows: pl.DataFrame) -> None:
        """Count these rows. A column that is missing, or has another type than in the reference, is not counted."""
        self.rows += rows.height
        for name, column in self._columns.items():
            column.add(rows, name)
        if self._score is not None:
            scored = rows if self._version is None else rows.filter(pl.col("version") == self._version)
            self._score.add(scored, SCORE)

    def psi(self) -> dict[str, float | None]:
        """The PSI of each column so far, the score first."""
        return {one.name: one.psi for one in self._all if one.trouble is None}

    def drift(self, params: Monitoring) -> Drift:
        """The drift of the rows so far."""
        features = [one.drift(self._reference_rows) for one in self._columns.values() if one.trouble is None]
        p_values = adjusted([one.p_value for one in features])
        features = [replace(one, adjusted_p_value=p) for one, p in zip(features, p_values, strict=True)]
        features = [_judge(one, self._reference_rows, params) for one in features]
        score = None
        if self._score is not None and self._score.trouble is None:
            score = _judge(self._score.drift(self._reference_rows), self._reference_rows, params)
        features = sorted(features, key=lambda one: (-(one.psi or 0), one.column))
        return Drift(self.rows, self._reference_rows, score, features, self._findings(score, params.min_rows))

    @cached_property
    def _all(self) -> list[CountedColumn]:
        return [*([] if self._score is None else [self._score]), *self._columns.values()]

    def _findings(self, score: ColumnDrift | None, min_rows: int) -> list[str]:
        found = [f"{one.name}: {one.trouble}" for one in self._all if one.trouble is not None]
        found += [f"{name}: the version's drift reference does not have it" for name in self._unknown]
        for rows, whose in ((self.rows, "there are"), (self._reference_rows, "the drift reference has")):
            if rows < min_rows:
                told = f"only {rows:,} rows" if rows else "no rows"
                found.append(f"no verdict: {whose} {told}, and `monitoring.min_rows` is {min_rows:,}")
        if score is not None and score.rows < min_rows <= min(self.rows, self._reference_rows):
            found.append(f"no verdict of the score: {self._version} answered only {score.rows:,} of the rows")
        return found


def measure_drift(
    reference: Mapping[str, Any],
    features: Iterable[str],
    parts: Iterable[pl.DataFrame],
    params: Monitoring,
    version: str | None = None,
) -> Drift:
    """The drift of rows, given in parts, from the reference: see `DriftCounts`."""
    counts = DriftCounts(reference, features, version)
    for part in parts:
        counts.add(part)
    return counts.drift(params)


def count_periods(
    reference: Mapping[str, Any],
    features: Sequence[str],
    version: str,
    parts: Iterable[pl.DataFrame],
    ends: Sequence[date],
) -> list[DriftCounts]:
    """The counts of the rows that the version answered in each period: from one of the days on, before the next one."""
    counts = [DriftCounts(reference, features, version) for _ in ends[1:]]
    for part in parts:
        answered = part.filter(pl.col("version") == version)
        for (first, end), one in zip(pairwise(ends), counts, strict=True):
            one.add(answered.filter(pl.col("day").is_between(first, end, closed="left")))
    return counts


def _judge(column: ColumnDrift, reference_rows: int, params: Monitoring) -> ColumnDrift:
    """The column with a verdict, if there are enough rows for one."""
    if column.psi is None or column.adjusted_p_value is None or min(column.rows, reference_rows) < params.min_rows:
        return column
    significant = column.adjusted_p_value <= params.false_discoveries
    return replace(column, drifted=significant and column.psi >= CHANGED_PSI)
