"""Resamples of the rows, or of whole groups of rows, and the bootstrap draws of metrics from them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from champion.model.intervals import interval

Scores = NDArray[np.float64]
Target = NDArray[np.int8]
Weighted = Callable[[Scores], float]

# With fewer groups, intervals are too narrow: "few" is less than 20 to 50 groups of equal size, and more if their sizes
# differ (Cameron & Miller 2015, "A practitioner's guide to cluster-robust inference", section VI). The effective number
# takes the sizes into account.
MIN_EFFECTIVE_GROUPS = 20


@dataclass(frozen=True, eq=False)
class Resamples:
    """Resamples with replacement: of rows (Efron 1979), or of whole groups (Field & Welsh 2007, the cluster bootstrap).

    `groups` has one code for each row; rows with the same code stand together.
    """

    rows: int
    groups: NDArray[np.integer[Any]] | None
    samples: int
    seed: int

    @property
    def effective(self) -> float | None:
        """How many groups of equal size would say as much: (sum n)^2 / sum n^2 (Kish 1965); None without groups."""
        if self.groups is None:
            return None
        sizes = np.unique(self.groups, return_counts=True)[1]
        return float(sizes.sum() ** 2 / (sizes**2).sum())

    def at(self, chosen: NDArray[np.integer[Any]] | NDArray[np.bool_]) -> "Resamples":
        """The resamples of the chosen rows, which are given as positions or as a mask."""
        rows = len(np.arange(self.rows)[chosen])
        return Resamples(rows, None if self.groups is None else self.groups[chosen], self.samples, self.seed)

    def __iter__(self) -> Iterator[Scores]:
        """How often each row is in each resample. There is no resample below 20 effective groups."""
        rng = np.random.default_rng(self.seed)
        if self.effective is not None and self.effective < MIN_EFFECTIVE_GROUPS:
            return
        group = None if self.groups is None else np.unique(self.groups, return_inverse=True)[1]
        units = self.rows if group is None else int(group.max()) + 1
        for _ in range(self.samples):
            drawn = np.bincount(rng.integers(0, units, units), minlength=units).astype(np.float64)
            yield drawn if group is None else drawn[group]


def bootstrap(score: Callable[[Scores], Mapping[str, float]], resamples: Resamples) -> dict[str, Scores]:
    """The metrics of each resample, each of shape (samples,); NaN without resamples.

    `score` gives the metrics as functions of the row weights.
    """
    draws = [score(weight) for weight in resamples] or [dict.fromkeys(score(np.ones(resamples.rows)), np.nan)]
    return {name: np.array([draw[name] for draw in draws]) for name in draws[0]}


def paired_interval(first: Weighted, second: Weighted, resamples: Resamples) -> tuple[float, float]:
    """The central 95% of `second - first`, where both metrics get the same resamples.

    Resamples with only one class are ignored. The ends are NaN when no resample is left.
    """
    return interval(np.array([second(weight) - first(weight) for weight in resamples]))
