"""How much one column has moved from a reference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from champion.model.distribution import ColumnReference, Counts
from champion.monitoring.significance import chi_square, ks


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


class CountedColumn:
    """A column of the reference, and the rows that were counted in its bins; `trouble` says why they could not be."""

    def __init__(self, name: str, kind: str, reference: ColumnReference) -> None:
        self.name, self._kind, self._reference = name, kind, reference
        self._counts: Counts = np.zeros(len(reference.shares), np.int64)
        self.trouble: str | None = None

    def add(self, rows: pl.DataFrame, name: str) -> None:
        """Count the values of the rows' column of this name."""
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
        """The PSI of the rows so far; None without rows."""
        psi = self._reference.psi_of(self._counts)
        return None if np.isnan(psi) else psi

    def drift(self, reference_rows: int) -> ColumnDrift:
        """The drift of the rows so far, without a verdict."""
        before = np.rint(np.array(self._reference.shares) * reference_rows).astype(np.int64)
        rows = int(self._counts.sum())
        now = [None] * len(before) if not rows else (self._counts / rows).tolist()
        is_number = self._reference.edges is not None
        statistic, p_value = (
            (None, None) if not rows else ks(before, self._counts) if is_number else chi_square(before, self._counts)
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
