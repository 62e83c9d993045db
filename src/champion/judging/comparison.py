"""What two judged models are worth on the same rows, which are new to both."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from champion.core.errors import ConflictError
from champion.core.values import rounded
from champion.params import Challenge

if TYPE_CHECKING:
    import polars as pl

    from champion.model.bootstrap import Resamples, Scores, Target, Weighted
    from champion.table.dataset import Dataset, Mask

# What a challenger must do: a new recipe must win, a refresh must not lose.
Kind = Literal["must win", "must not lose"]


@dataclass(frozen=True)
class Paired:
    """A metric of both judged models on the same rows, and the 95% paired bootstrap interval of the difference."""

    champion: float
    challenger: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """By how much the challenger's metric is higher."""
        return self.challenger - self.champion

    def describe(self) -> dict[str, float]:
        """The scores as JSON."""
        return asdict(self) | {"difference": self.difference}


@dataclass(frozen=True)
class Comparison:
    """Both judged models on `rows` test rows: by `metric`, and by the Brier score, where less is better.

    `excluded` is the number of the other test rows, from which a model learned.
    """

    metric: str
    rows: int
    excluded: int
    gain: Paired
    brier: Paired

    def describe(self) -> dict[str, Any]:
        """The comparison as JSON."""
        paired = {"gain": self.gain.describe(), "brier": self.brier.describe()}
        described: dict[str, Any] = rounded(asdict(self) | paired)
        return described

    def shortfalls(self, kind: Kind, required: Challenge) -> list[str]:
        """Why the challenger loses, one sentence per reason; none if it does what it must."""
        # `not` is needed: a comparison with NaN is false, and NaN must count as a shortfall.
        reasons = []
        if kind == "must win":
            if not self.gain.difference >= required.margin:
                reasons.append(
                    f"its {self.metric} gain is {self.gain.difference:+.4f}, but {required.margin:g} is needed"
                )
            if not self.gain.low > 0:
                reasons.append(f"the gain may be zero: its 95% interval begins at {self.gain.low:+.4f}")
        elif not self.gain.low > -required.max_loss:
            reasons.append(
                f"it may lose {required.max_loss:g} or more: its {self.metric} gain's 95% interval begins at "
                f"{self.gain.low:+.4f}"
            )
        if not self.brier.low <= 0:
            reasons.append(
                f"its Brier score is worse: the 95% interval of the difference begins at {self.brier.low:+.4f}"
            )
        return reasons


def choose_rows(
    test: "Dataset", learned: Sequence["Mask"], features: Sequence[tuple[str, Iterable[str]]], required: Challenge
) -> tuple["Dataset", "Resamples"]:
    """The test rows that tell two models apart, and their resamples.

    `learned` says for each model from which rows it learned, and `features` its name with the columns that it reads.
    Raises `ConflictError` when the rows that are new to both are too few, or a feature is missing in all of them.
    """
    data = _new_to_both(test, learned, required)
    for name, columns in features:
        refuse_empty(data.rows, name, columns)
    return data, draw_resamples(data, required)


def _new_to_both(test: "Dataset", learned: Sequence["Mask"], required: Challenge) -> "Dataset":
    data = test.only(~learned[0] & ~learned[1])
    rows, tested = data.rows.height, test.rows.height
    half = required.min_rows is None
    needed = (tested + 1) // 2 if required.min_rows is None else required.min_rows
    if rows < needed:
        raise ConflictError(
            f"only {rows:,} of {tested:,} test rows are new to both models, but {needed:,} are needed "
            f"({'half of them, without ' if half else ''}`challenge.min_rows` in params.yaml)"
        )
    return data


def refuse_empty(rows: "pl.DataFrame", name: str, features: Iterable[str]) -> None:
    """Raise `ConflictError` naming a feature that is missing in every row, as the rows cannot test its use."""
    for feature in features:
        column = rows[feature] if feature in rows.columns else None
        if column is not None and (column.fill_nan(None) if column.dtype.is_float() else column).count() == 0:
            raise ConflictError(f"the feature {feature!r} of {name} is missing in every test row")


def draw_resamples(data: "Dataset", required: Challenge) -> "Resamples":
    """The resamples of these rows. Raises `ConflictError` when the rows are too few to tell two models apart."""
    import numpy as np

    from champion.model.bootstrap import MIN_EFFECTIVE_GROUPS, Resamples

    if len(np.unique(data.target)) < 2:
        raise ConflictError("the test rows that are new to both models have only one class")
    resamples = Resamples(data.rows.height, data.groups, required.samples, required.seed)
    if resamples.effective is not None and resamples.effective < MIN_EFFECTIVE_GROUPS:
        raise ConflictError(
            f"the test rows that are new to both models make up {resamples.effective:.1f} effective groups by "
            f"{data.schema.group!r}, but an interval needs {MIN_EFFECTIVE_GROUPS}"
        )
    return resamples


def compare_scores(
    metric: str,
    target: "Target",
    probabilities: Sequence["Scores"],
    cut: float,
    resamples: "Resamples",
    excluded: int = 0,
) -> Comparison:
    """The comparison of the champion and the challenger, which have these probabilities on the same rows.

    `cut` is the challenger's.
    """
    from champion.model.weighted import weighted_brier

    gain = by_metric(metric, target, probabilities, cut)
    brier = [weighted_brier(target, probability) for probability in probabilities]
    return Comparison(metric, len(target), excluded, _paired(gain, resamples), _paired(brier, resamples))


def by_metric(metric: str, target: "Target", probabilities: Sequence["Scores"], cut: float) -> list["Weighted"]:
    """The metric of the champion and of the challenger, which have these probabilities on the same rows.

    F1 depends on how many rows are flagged, so both flag the share that the challenger's `cut` flags here.
    """
    from champion.model.decision import lowest_cut
    from champion.model.model import is_positive
    from champion.model.weighted import weighted_f1, weighted_roc_auc

    if metric == "roc_auc":
        return [weighted_roc_auc(target, probability) for probability in probabilities]
    share = float(is_positive(probabilities[1], cut).mean())
    return [weighted_f1(target, is_positive(one, lowest_cut(one, share))) for one in probabilities]


def _paired(scores: Sequence["Weighted"], resamples: "Resamples") -> Paired:
    import numpy as np

    from champion.model.bootstrap import paired_interval

    champion, challenger = scores
    every_row = np.ones(resamples.rows)
    return Paired(champion(every_row), challenger(every_row), *paired_interval(champion, challenger, resamples))
