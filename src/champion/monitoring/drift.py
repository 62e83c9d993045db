"""How much recent rows and their scores have moved from a version's drift reference."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from champion.model.distribution import ColumnReference, Counts
from champion.params import Monitoring

SCORE = "probability"
# No column of a table is likely to have it.
SCORE_NAME = "(score)"
# Below it nothing changed, by custom. With many rows, a test finds any difference, however small.
CHANGED_PSI = 0.1
# A chi-square test needs so many expected rows in each cell (Cochran 1954).
MIN_EXPECTED = 5


@dataclass(frozen=True)
class Bin:
    """A bin of a column: the share of rows in it, before and now, None without rows."""

    name: str
    before: float
    now: float | None


@dataclass(frozen=True)
class ColumnDrift:
    """How much a column has moved. What cannot be said is None.

    `test` is `ks` for numbers: the two-sample test of Kolmogorov and Smirnov at the ends of the reference's bins. For
    texts and booleans it is `chi_square`, Pearson's test of homogeneity. In both, missing is a value like another one;
    for `ks` it is the lowest. `adjusted_p_value` is the p-value for all features together (Benjamini and Hochberg
    1995); the score's own is not adjusted, as it is one question.

    `unnamed` is the share of rows whose value the reference does not name. If the reference `names_all` values that it
    had, these values are new; else some of them may be rare ones of the reference.
    """

    column: str
    type: str
    rows: int
    psi: float | None
    test: str
    statistic: float | None
    p_value: float | None
    adjusted_p_value: float | None
    missing_before: float
    missing: float | None
    unnamed_before: float | None
    unnamed: float | None
    names_all: bool | None
    drifted: bool | None
    bins: Sequence[Bin]


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
        self._columns = {name: _Counted(name, kind, column) for name, (kind, column) in columns.items()}
        score = reference["score"]
        self._score = None if score is None else _Counted(SCORE_NAME, "number", ColumnReference.parse(score))

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
        features = [_judge(one, self._reference_rows, params) for one in _adjust(features)]
        score = None
        if self._score is not None and self._score.trouble is None:
            score = _judge(self._score.drift(self._reference_rows), self._reference_rows, params)
        features = sorted(features, key=lambda one: (-(one.psi or 0), one.column))
        return Drift(self.rows, self._reference_rows, score, features, self._findings(score, params.min_rows))

    @cached_property
    def _all(self) -> "list[_Counted]":
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


class _Counted:
    """A column of the reference, and the rows that were counted in its bins; `trouble` says why they could not be."""

    def __init__(self, name: str, kind: str, reference: ColumnReference) -> None:
        self.name, self._kind, self._reference = name, kind, reference
        self._counts: Counts = np.zeros(len(reference.shares), np.int64)
        self.trouble: str | None = None

    def add(self, rows: pl.DataFrame, name: str) -> None:
        if name not in rows.columns:
            self.trouble = "the rows do not have it"
            return
        column = rows[name]
        if self._kind == "boolean" and column.dtype.is_numeric():
            # A model reads 0 and 1.
            column = column.cast(pl.Float64).fill_nan(None).cast(pl.Boolean)
        if self._fits(column.dtype):
            self._counts = self._counts + self._reference.count(column)
        else:
            self.trouble = "the rows have values of another type than the drift reference"

    @property
    def psi(self) -> float | None:
        psi = self._reference.psi_of(self._counts)
        return None if np.isnan(psi) else psi

    def drift(self, reference_rows: int) -> ColumnDrift:
        before = np.rint(np.array(self._reference.shares) * reference_rows).astype(np.int64)
        rows = int(self._counts.sum())
        now = [None] * len(before) if not rows else (self._counts / rows).tolist()
        is_number = self._reference.edges is not None
        statistic, p_value = (
            (None, None) if not rows else _ks(before, self._counts) if is_number else _chi_square(before, self._counts)
        )
        *_, unnamed_before, missing_before = self._reference.shares
        return ColumnDrift(
            column=self.name,
            type=self._kind,
            rows=rows,
            psi=self.psi,
            test="ks" if is_number else "chi_square",
            statistic=statistic,
            p_value=p_value,
            adjusted_p_value=p_value,
            missing_before=missing_before,
            missing=now[-1],
            unnamed_before=None if is_number else unnamed_before,
            unnamed=None if is_number else now[-2],
            names_all=None if is_number else unnamed_before == 0,
            drifted=None,
            bins=[Bin(*one) for one in zip(_bin_names(self._reference), self._reference.shares, now, strict=True)],
        )

    def _fits(self, found: pl.DataType) -> bool:
        if found == pl.Null:
            return True
        if self._reference.edges is not None:
            return found.is_numeric()
        return found.is_integer() or found in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)


def _ks(before: Counts, now: Counts) -> tuple[float, float]:
    """The test of Kolmogorov and Smirnov at the ends of the bins, with its asymptotic p-value (Smirnov 1939).

    With bins it finds less than with the values themselves, so the p-value is rather too high than too low.
    """
    from scipy.stats import kstwo

    # Missing comes first: so the test also sees that more values are missing.
    shares = [np.cumsum(np.roll(side, 1))[:-1] / side.sum() for side in (before, now)]
    statistic = float(np.abs(shares[0] - shares[1]).max())
    rows, others = before.sum(), now.sum()
    return statistic, float(kstwo.sf(statistic, np.round(rows * others / (rows + others))))


def _chi_square(before: Counts, now: Counts) -> tuple[float | None, float | None]:
    """Pearson's chi-square test that both have the same shares; none if all rows are in one bin.

    The bins with too few expected rows are put together.
    """
    from scipy.stats import chi2_contingency

    table = np.array([before, now])
    expected = table.sum(axis=0) * table.sum(axis=1).min() / table.sum()
    rare = expected < MIN_EXPECTED
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.any(axis=0)]
    if table.shape[1] < 2:
        return 0.0, 1.0
    found = chi2_contingency(table, correction=False)
    return float(found.statistic), float(found.pvalue)


def _adjust(columns: Sequence[ColumnDrift]) -> list[ColumnDrift]:
    """The columns with their p-values adjusted for all of them together."""
    from scipy.stats import false_discovery_control

    known = [one.p_value for one in columns if one.p_value is not None]
    if not known:
        return list(columns)
    adjusted = iter(false_discovery_control(known).tolist())
    return [one if one.p_value is None else replace(one, adjusted_p_value=next(adjusted)) for one in columns]


def _judge(column: ColumnDrift, reference_rows: int, params: Monitoring) -> ColumnDrift:
    """The column with a verdict, if there are enough rows for one."""
    if column.psi is None or column.adjusted_p_value is None or min(column.rows, reference_rows) < params.min_rows:
        return column
    significant = column.adjusted_p_value <= params.false_discoveries
    return replace(column, drifted=significant and column.psi >= CHANGED_PSI)


def _bin_names(reference: ColumnReference) -> list[str]:
    """What each share of the reference is about. Of a text, a name in brackets is none of its values."""
    if reference.edges is None:
        return [*(reference.values or ()), "(others)", "(missing)"]
    edges = reference.edges
    if not edges:
        return ["(any number)", "(missing)"]
    names, low = [], None
    for number, edge in enumerate(edges):
        # A frequent value has a bin of its own, and the bin before it ends just below it.
        just_below = number + 1 < len(edges) and edge == np.nextafter(edges[number + 1], -np.inf)
        if low is not None and low == np.nextafter(edge, -np.inf):
            names.append(f"exactly {edge:,.6g}")
        else:
            to = "below" if just_below else "up to"
            end = edges[number + 1] if just_below else edge
            names.append(f"{to} {end:,.6g}" if low is None else f"above {low:,.6g}, {to} {end:,.6g}")
        low = edge
    return [*names, f"above {edges[-1]:,.6g}", "(missing)"]
