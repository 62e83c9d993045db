"""What the policies of the replay were worth, side by side."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from champion.core.files import read_json
from champion.core.strict_yaml import read
from champion.model.metrics import mean
from champion.retraining.replay.layout import FOLDER, PARAMS, PROMISES, QUARTERS, TRAININGS
from champion.retraining.replay.params import ReplayParams

FROZEN = "frozen"
# From the first year to the last one, both included; None for all.
Years = tuple[int, int] | None


@dataclass(frozen=True)
class Worth:
    """A policy: its quarters and its trainings."""

    name: str
    quarters: pl.DataFrame
    trainings: Sequence[dict[str, Any]]

    def mean(self, column: str, years: Years = None) -> float:
        """The mean of a column over the quarters of these years; NaN without values."""
        values = self._within(years)[column].to_numpy()
        return mean(values[np.isfinite(values)])

    def accepted(self, years: Years = None) -> float:
        """The share of positives among all accepted rows of these years; NaN without rows."""
        rows = self._within(years).filter(pl.col("accepted_rate").is_finite())
        if rows.is_empty():
            return np.nan
        return float(np.average(rows["accepted_rate"].to_numpy(), weights=rows["rows"].to_numpy()))

    def _within(self, years: Years) -> pl.DataFrame:
        if years is None:
            return self.quarters
        return self.quarters.filter(pl.col("quarter").str.slice(0, 4).cast(int).is_between(*years))

    def count(self, result: str) -> int:
        """How many trainings were `deployed`, `lost` or `refused`."""
        return sum(one["result"] == result for one in self.trainings)

    @property
    def fired(self) -> Counter[str]:
        """How many trainings each trigger was a reason of."""
        return Counter(name for one in self.trainings for name in one["due"])


def compare_policies(root: Path) -> list[Worth]:
    """Each policy of replay/params.yaml, in its order. Raises `UserError` when a result is missing."""
    folder = root / FOLDER
    found = []
    for name in read(ReplayParams, folder / PARAMS).policies:
        trainings = read_json(folder / TRAININGS / f"{name}.json")["trainings"]
        found.append(Worth(name, pl.read_csv(folder / QUARTERS / f"{name}.csv"), trainings))
    return found


def read_promises(root: Path) -> list[dict[str, Any]]:
    """The promise of each quarter's training, and what came true."""
    promises: list[dict[str, Any]] = read_json(root / FOLDER / PROMISES)["promises"]
    return promises


def describe_policies(policies: Sequence[Worth], spans: Sequence[Years] = (None,)) -> str:
    """A table in Markdown, one row a policy. ROC AUC is given for each span of years, the rest for the first one.

    Rows learned from are in millions. Without a policy that is called frozen, nothing is above it.
    """
    told = ["" if years is None else f" {years[0]}-{years[1]}" for years in spans]
    frozen = next((one.mean("roc_auc", spans[0]) for one in policies if one.name == FROZEN), np.nan)
    titles = ["policy", "trainings", "deployed", "lost", "refused", "rows learned from (millions)"]
    titles += [*(f"ROC AUC{span}" for span in told), "above frozen", "Brier skill", "defaults among accepted"]
    rows = []
    for one in policies:
        counts = [len(one.trainings), *(one.count(result) for result in ("deployed", "lost", "refused"))]
        learned = f"{sum(training['rows'] for training in one.trainings) / 1e6:.1f}"
        roc_auc = [f"{one.mean('roc_auc', years):.3f}" for years in spans]
        rest = [
            f"{one.mean('roc_auc', spans[0]) - frozen:+.3f}",
            f"{one.mean('brier_skill', spans[0]):+.3f}",
            f"{one.accepted(spans[0]):.2%}",
        ]
        rows.append([one.name, *map(str, counts), learned, *roc_auc, *rest])
    return in_markdown(titles, rows)


def in_markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text, and whose others are numbers."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def describe_triggers(policies: Sequence[Worth]) -> str:
    """How many trainings each trigger was a reason of, a row a policy that trained."""
    trained = [one for one in policies if one.trainings]
    names = sorted({name for one in trained for name in one.fired})
    rows = [[one.name, *(str(one.fired[name]) for name in names)] for one in trained]
    return in_markdown(["policy", *names], rows)


def describe_promises(promises: Sequence[dict[str, Any]]) -> str:
    """What the training of each January promised, and what came true in the year after."""
    titles = ["made on", "promised ROC AUC", "rehearsals' interval", "realised", "inside", "observed / expected"]
    rows = []
    for one in promises:
        promised, realised = one["promised"], one["realised"]
        if not one["quarter"].endswith("01-01") or realised is None:
            continue
        low, high = (promised[f"rehearsed_roc_auc_{end}"] for end in ("low", "high"))
        interval = "none" if low is None else f"{low:.3f} to {high:.3f}"
        inside = {None: "", True: "yes", False: "no"}[one["within_rehearsals"]]
        ratio = f"{realised['observed_expected']:.2f}"
        rows.append(
            [one["quarter"], f"{promised['roc_auc']:.3f}", interval, f"{realised['roc_auc']:.3f}", inside, ratio]
        )
    return in_markdown(titles, rows)
