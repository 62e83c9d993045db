"""Whether a difference between two sides is more than chance: tests of counts in bins, for one column and for many."""

from collections.abc import Sequence

import numpy as np

from champion.model.distribution import Counts

# A chi-square test needs so many expected rows in each cell (Cochran 1954).
MIN_EXPECTED = 5


def ks(before: Counts, now: Counts) -> tuple[float, float]:
    """The test of Kolmogorov and Smirnov at the ends of the bins, with its asymptotic p-value (Smirnov 1939).

    With bins it finds less than with the values themselves, so the p-value is rather too high than too low.
    """
    from scipy.stats import kstwo

    # Missing comes first: so the test also sees that more values are missing.
    shares = [np.cumsum(np.roll(side, 1))[:-1] / side.sum() for side in (before, now)]
    statistic = float(np.abs(shares[0] - shares[1]).max())
    rows, others = before.sum(), now.sum()
    return statistic, float(kstwo.sf(statistic, np.round(rows * others / (rows + others))))


def chi_square(before: Counts, now: Counts) -> tuple[float | None, float | None]:
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


def adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values of several tests, adjusted for all of them together (Benjamini and Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    known = [one for one in p_values if one is not None]
    found = iter(false_discovery_control(known).tolist() if known else ())
    return [None if one is None else next(found) for one in p_values]
