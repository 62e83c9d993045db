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
from champion.retraining.replay.layout import FOLDER, PARAMS, PROMISES, QUARTERS, TRAININGS
from champion.retraining.replay.params import ReplayParams

FROZEN = "frozen"
# The years that the defaults may be chosen by, the years that judge them, and the years of the goals.
CHOOSING, JUDGING, GOAL = (2002, 2007), (2008, 2012), (2004, 2012)


@dataclass(frozen=True)
class Worth:
    """A policy: its quarters and its trainings."""

    name: str
    quarters: pl.DataFrame
    trainings: Sequence[dict[str, Any]]

    def mean(self, column: str, years: tuple[int, int]) -> float:
        """The mean of a column over the quarters of these years, both included; NaN without values."""
        return float(np.nanmean(self._within(years)[column].to_numpy()))

    def accepted(self, years: tuple[int, int]) -> float:
        """The default rate among all accepted rows of these years."""
        rows = self._within(years)
        return float(np.average(rows["accepted_rate"].to_numpy(), weights=rows["rows"].to_numpy()))

    def _within(self, years: tuple[int, int]) -> pl.DataFrame:
        return self.quarters.filter(self.quarters["quarter"].str.slice(0, 4).cast(int).is_between(*years))

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


def describe_policies(policies: Sequence[Worth]) -> str:
    """A table in Markdown, one row a policy."""
    lines = [
        "| policy | trainings | deployed | lost | refused | ROC AUC 2004-2012 | 2002-2007 | 2008-2012 | Brier skill "
        "2004-2012 | defaults among accepted |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in policies:
        counts = [len(one.trainings), *(one.count(result) for result in ("deployed", "lost", "refused"))]
        auc = [f"{one.mean('roc_auc', years):.3f}" for years in (GOAL, CHOOSING, JUDGING)]
        rest = [f"{one.mean('brier_skill', GOAL):+.3f}", f"{one.accepted(GOAL):.2%}"]
        lines.append("| " + " | ".join([one.name, *map(str, counts), *auc, *rest]) + " |")
    return "\n".join(lines)
