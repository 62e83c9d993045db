"""Whether features have moved together: how well a classifier tells the reference's rows from recent ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from champion.model.bootstrap import Resamples, Scores, Target
from champion.params import Monitoring

ROWS = 5_000
FOLDS = 5
TREES = 50
SAMPLES = 200
SEED = 0
# So many features are named.
NAMED = 5


@dataclass(frozen=True)
class JointDrift:
    """How well a classifier tells the reference's rows from recent ones, on rows that it has not learned from.

    `roc_auc` has a 95% interval. It is .5 if nobody can tell them apart, and 1 if each row says whether it is new.
    `importance` is by how much it falls when a feature's values are shuffled, for the features that it used most.
    """

    reference_rows: int
    rows: int
    roc_auc: float
    low: float
    high: float
    importance: Mapping[str, float]


class RowSample:
    """At most 5,000 of the rows that `add` was given, each equally likely: of equal rows always the same ones."""

    def __init__(self, features: Sequence[str]) -> None:
        self._features = list(features)
        self._random = np.random.default_rng(SEED)
        self._draws: Scores = np.empty(0)
        self._kept: list[pl.DataFrame] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Look at these rows, and keep some of them. All parts need equal columns."""
        draws = np.append(self._draws, self._random.random(rows.height))
        lowest = np.argsort(draws)[:ROWS]
        self._draws = draws[lowest]
        self._kept = [pl.concat([*self._kept, rows.select(self._features)])[lowest]]

    @property
    def rows(self) -> pl.DataFrame:
        """The rows that were kept."""
        return pl.concat(self._kept) if self._kept else pl.DataFrame()


def measure_joint_drift(reference: pl.DataFrame, current: pl.DataFrame, params: Monitoring) -> JointDrift | None:
    """How well boosted trees tell the two tables apart (Friedman 2003, Lopez-Paz and Oquab 2017).

    Both have the same columns, as `treat` gives them. The trees are cross-validated, and the interval is that of the
    rows (Efron 1979), with the trees as they are. None if a table has too few rows for a verdict.
    """
    from champion.model.intervals import interval
    from champion.model.weighted import weighted_roc_auc

    if min(reference.height, current.height) < params.min_rows:
        return None
    both = pl.concat([reference, current.select(reference.columns)])
    is_new = np.repeat(np.array([0, 1], np.int8), [reference.height, current.height])
    probability, drops = _cross_validate(np.column_stack([_as_numbers(column) for column in both]), is_new)
    roc_auc = weighted_roc_auc(is_new, probability)
    low, high = interval(np.array([roc_auc(weight) for weight in Resamples(len(is_new), None, SAMPLES, SEED)]))
    used = sorted(zip(both.columns, drops.tolist(), strict=True), key=lambda one: -one[1])
    importance = {name: drop for name, drop in used[:NAMED] if drop > 0}
    return JointDrift(reference.height, current.height, roc_auc(np.ones(len(is_new))), low, high, importance)


def _as_numbers(column: pl.Series) -> Scores:
    """The places of the values in their order, which is all that trees see of them; missing comes first."""
    # Trees can read NaN, but not a column of nothing else.
    return column.rank("dense").fill_null(0).cast(pl.Float64).to_numpy()


def _cross_validate(values: Scores, is_new: Target) -> tuple[Scores, Scores]:
    """The probability of each row, from trees that did not see it, and how much ROC AUC falls without each column."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import StratifiedKFold

    probability, drops = np.empty(len(is_new)), np.zeros(values.shape[1])
    for learned, tested in StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(values, is_new):
        trees = HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False, random_state=SEED)
        trees.fit(values[learned], is_new[learned])
        probability[tested] = trees.predict_proba(values[tested])[:, 1]
        shuffled = permutation_importance(
            trees, values[tested], is_new[tested], scoring="roc_auc", n_repeats=1, random_state=SEED
        )
        drops += shuffled.importances_mean / FOLDS
    return probability, drops
