"""95% intervals: of bootstrap draws, of a share, and of one new value."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The central 95% of bootstrap draws (percentile method, Efron 1979); NaN when no draw is finite."""
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return np.nan, np.nan
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def share_interval(events: int, rows: int) -> tuple[float, float]:
    """The interval of the share of independent rows, at least one, that had an event.

    It is Jeffreys' interval, the quantiles of a beta distribution with parameters events + 1/2 and rows - events + 1/2.
    It reaches the end where all rows say the same (Brown, Cai and DasGupta 2001).
    """
    low, high = betaincinv(events + 0.5, rows - events + 0.5, [0.025, 0.975]).tolist()
    return 0.0 if events == 0 else low, 1.0 if events == rows else high


def prediction_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Where one new value lies with 95% confidence, if all are drawn from one normal distribution.

    It is mean +- t(n - 1) * s * sqrt(1 + 1/n) (Hahn & Meeker 1991, section 4.8). Values that are not finite are
    ignored; None if fewer than three are left.
    """
    known = np.array([value for value in values if np.isfinite(value)])
    count = len(known)
    if count < 3:
        return None
    reach = stdtrit(count - 1, 0.975) * known.std(ddof=1) * np.sqrt(1 + 1 / count)
    return float(known.mean() - reach), float(known.mean() + reach)
