"""How well answers came true, and how well they should come true while their labels are missing."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from champion.core.values import rounded
from champion.model.bootstrap import Resamples, Scores, Target, bootstrap
from champion.model.intervals import interval
from champion.model.weighted import ranking, weighted_f1
from champion.pipeline.evaluate.params import Evaluate

# The columns that are read of each row.
READ = ("probability", "decision", "label", "version", "variant")
OBSERVED_EXPECTED = "observed_expected"
# The estimate is as wrong as the probabilities are: within these limits the expected number of events, and so the
# estimated precision, is at most a quarter too high or too low.
LIMITS = (0.8, 1.25)


@dataclass(frozen=True)
class Measured:
    """Metrics of `rows`, each with the ends (`_low`, `_high`) of its 95% interval; or the reason why there are none.

    A metric that the rows do not define, such as the precision of no flagged row, is NaN.
    """

    rows: int
    metrics: Mapping[str, float] | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Performance:
    """What a version answered in a variant: `known` came true, `estimated` is expected of rows without a label yet."""

    version: str
    variant: str | None
    known: Measured
    estimated: Measured

    def describe(self) -> dict[str, Any]:
        """The performance as JSON."""
        described: dict[str, Any] = rounded(asdict(self))
        return described


def measure_performance(
    known: pl.DataFrame,
    waiting: pl.DataFrame,
    promised: Mapping[str, float | None],
    min_rows: int,
    evaluate: Evaluate,
) -> list[Performance]:
    """The performance of each version and variant, sorted by both.

    `known` are rows with a label, `waiting` rows without one; both have the columns of `READ`. `promised` is
    observed / expected of each version in the test before its registration. `evaluate` says how to draw resamples.
    """
    both = pl.concat([known.select("version", "variant"), waiting.select("version", "variant")])
    found = []
    for version, variant in both.unique().sort("version", "variant", nulls_last=False).iter_rows():
        same = (pl.col("version") == version) & pl.col("variant").eq_missing(variant)
        calibrated = _observed_expected(known.filter(pl.col("version") == version), min_rows)
        calibrated = promised.get(version) if calibrated is None else calibrated
        measured = measure(known.filter(same), min_rows, evaluate)
        estimated = estimate(waiting.filter(same), calibrated, min_rows, evaluate)
        found.append(Performance(version, variant, measured, estimated))
    return found


def measure(rows: pl.DataFrame, min_rows: int, evaluate: Evaluate) -> Measured:
    """What came true of rows with a label.

    - `roc_auc` and `f1_weighted` are as in `metrics.score`, with the decisions that were given.
    - `observed_expected`: the share of positives / the mean probability.
    - `precision`, `recall`: the share of positives among the flagged, and of flagged among the positives.

    The intervals resample rows, which are taken to be independent. There are no metrics of fewer than `min_rows` rows,
    or of one class alone.
    """
    count, positives = rows.height, int(rows["label"].sum())
    reason = _unusable(rows, "with a known label", min_rows)
    if reason is None and positives in (0, count):
        reason = f"all {count:,} rows have the same label"
    if reason is not None:
        return Measured(count, reason=reason)
    # Sorted rows are faster to score again and again.
    rows = rows.sort("probability")
    score = _scores(rows["label"].cast(pl.Int8).to_numpy(), *_answers(rows))
    resamples = Resamples(count, None, evaluate.bootstrap_samples, evaluate.seed)
    return Measured(count, _with_ends(score(np.ones(count)), bootstrap(score, resamples)))


def estimate(rows: pl.DataFrame, observed_expected: float | None, min_rows: int, evaluate: Evaluate) -> Measured:
    """What is expected of rows without a label, if their probabilities are right.

    This is confidence-based performance estimation (Bialek et al. 2024, "Estimating model performance under covariate
    shift without labels"): a row with probability p counts as p positive and 1 - p negative rows. With 95% probability
    the metric of these rows, once their labels are known, lies in the interval. `observed_expected` is the last known
    one of the version, and outside of `LIMITS` there is no estimate: nothing else tells whether the probabilities are
    right. It does not see when the same values come to mean another probability.
    """
    reason = _unusable(rows, "without a label", min_rows) or _uncalibrated(observed_expected)
    if reason is not None:
        return Measured(rows.height, reason=reason)
    probability, called = _answers(rows.sort("probability"))
    count = len(probability)
    # Each row twice: as a positive one, and as a negative one.
    score = _scores(np.repeat(np.array([1, 0], np.int8), count), np.tile(probability, 2), np.tile(called, 2))
    rng = np.random.default_rng(evaluate.seed)

    def draw() -> dict[str, float]:
        happened = rng.random(count) < probability
        return score(np.concatenate([happened, ~happened]).astype(np.float64))

    draws = [draw() for _ in range(evaluate.bootstrap_samples)]
    expected = score(np.concatenate([probability, 1 - probability]))
    # It is 1 by definition.
    del expected[OBSERVED_EXPECTED]
    return Measured(count, _with_ends(expected, {name: np.array([one[name] for one in draws]) for name in expected}))


def _scores(target: Target, probability: Scores, called: Any) -> Callable[[Scores], dict[str, float]]:
    """The metrics of `measure` as functions of the row weights."""
    rank, f1 = ranking(target, probability), weighted_f1(target, called)
    positive, flagged = target.astype(np.float64), called.astype(np.float64)
    caught = positive * flagged

    def score(weight: Scores) -> dict[str, float]:
        # Not by a product of matrices, whose threads would wait for each other.
        sums = [float((weight * one).sum()) for one in (positive, caught, flagged, probability)]
        positives, right, chosen, expected = sums
        return {
            "roc_auc": rank(weight).roc_auc(),
            "f1_weighted": f1(weight),
            OBSERVED_EXPECTED: positives / expected if expected else np.nan,
            "precision": right / chosen if chosen else np.nan,
            "recall": right / positives if positives else np.nan,
        }

    return score


def _answers(rows: pl.DataFrame) -> tuple[Scores, Any]:
    return rows["probability"].to_numpy(), rows["decision"].to_numpy()


def _with_ends(values: Mapping[str, float], draws: Mapping[str, Scores]) -> dict[str, float]:
    found = {}
    for name, value in values.items():
        found[name] = value
        found[f"{name}_low"], found[f"{name}_high"] = interval(draws[name])
    return found


def _unusable(rows: pl.DataFrame, which: str, min_rows: int) -> str | None:
    """Why nothing is said of the rows; None when something is."""
    if rows.is_empty():
        return f"there is no row {which}"
    if rows.height < min_rows:
        few = f"is only 1 row {which}" if rows.height == 1 else f"are only {rows.height:,} rows {which}"
        return f"there {few}, and `monitoring.min_rows` is {min_rows:,}"
    if not rows["probability"].is_finite().fill_null(False).all():
        return "the probability of a row is no number"
    return None


def _uncalibrated(observed_expected: float | None) -> str | None:
    """Why the probabilities may be wrong; None when they may be right."""
    if observed_expected is None:
        return "no known label tells whether the probabilities are right"
    low, high = LIMITS
    if low <= observed_expected <= high:
        return None
    return f"the last known observed / expected, {observed_expected:.2f}, is outside of {low} to {high}"


def _observed_expected(rows: pl.DataFrame, min_rows: int) -> float | None:
    """Of rows with a label, if they are enough to say."""
    if _unusable(rows, "with a known label", min_rows) is not None:
        return None
    expected = float(rows["probability"].sum())
    return float(rows["label"].sum()) / expected if expected else None
