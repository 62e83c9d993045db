"""Whether a challenger replaces the champion: on the same held-out rows, which neither trained on. In doubt, no."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from champion.core.errors import UserError
from champion.core.files import sha256_of
from champion.core.layout import MODEL, PARAMS, PREPARED
from champion.core.strict_yaml import Sections, read
from champion.core.values import rounded
from champion.delivery.gate import failures
from champion.delivery.listeners import follow
from champion.environments import Environment
from champion.params import Challenge
from champion.pipeline.evaluate.params import Evaluate
from champion.registry import history
from champion.registry.ledger import Row, breaks
from champion.registry.versions import (
    MODEL_FILE,
    TRAINING_ROWS_FILE,
    load_bytes,
    neighbours,
    open_ledger,
    registered_file,
)

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from champion.model.model import Model


class ChallengeParams(Sections):
    """The sections of params.yaml that a challenge reads."""

    evaluate: Evaluate
    challenge: Challenge = Challenge()


@dataclass(frozen=True)
class Comparison:
    """Both models' scores on the same rows, and the 95% paired bootstrap interval of the difference."""

    metric: str
    rows: int
    excluded: int
    champion: float
    challenger: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """How much better the challenger is."""
        return self.challenger - self.champion


@dataclass(frozen=True)
class Verdict:
    """The answer, with every reason for a no; `row` is where the ledger has it."""

    row: Row
    reasons: list[str]
    comparison: Comparison | None

    @property
    def promoted(self) -> bool:
        """Whether the challenger is the champion from now on."""
        return not self.reasons


def challenge(environment: Environment, name: str = "challenger") -> Verdict:
    """Judge a registered version, which must be the model that `dvc repro` left, and record the answer.

    Raises `UserError` when there is nothing to judge; whatever is missing for the judgement makes the answer no.
    """
    ledger, root = open_ledger(environment), environment.root
    rows = ledger.rows()
    challenger = history.resolve(rows, name, neighbours(environment))
    holder = history.champion(rows)
    if holder == challenger.version:
        raise UserError(f"{holder} is the champion already. Register a challenger with `champion register`.")
    params = read(ChallengeParams, root / PARAMS)
    reasons = ["the ledger was tampered with (`champion audit`)"] if breaks(rows, None) else []
    comparison = None
    try:
        if sha256_of(root / MODEL) != challenger.model_sha256:
            reasons.append(f"{MODEL} is not {challenger.version}: check out the commit it was registered from")
        reasons += failures(root)
        if holder is not None and not reasons:
            comparison = _compare(environment, history.versions(rows)[holder], challenger, params)
            reasons += _shortfalls(comparison, params.challenge)
    except UserError as error:
        reasons.append(str(error))
    with ledger.appending() as session:
        if history.champion(session.rows) != holder:
            raise UserError("the champion changed while this challenge ran. Nothing was recorded; run it again.")
        row = session.append(
            "challenge",
            version=challenger.version,
            from_version=holder,
            model_sha256=challenger.model_sha256,
            reason="; ".join(reasons) or None,
            details={
                "promoted": not reasons,
                "comparison": rounded(asdict(comparison) | {"gain": comparison.gain}) if comparison else None,
                "required": params.challenge.model_dump(mode="json"),
            },
        )
    follow(environment, row)
    return Verdict(row, reasons, comparison)


def unchallenged(environment: Environment) -> str | None:
    """The champion, when it is the newest version and so has no challenger; else None."""
    rows = open_ledger(environment).rows()
    holder = history.champion(rows)
    return holder if holder == next(reversed(history.versions(rows)), None) else None


def paired_interval(
    rows: int,
    first: Callable[["NDArray[np.float64]"], float],
    second: Callable[["NDArray[np.float64]"], float],
    samples: int,
    seed: int,
) -> tuple[float, float]:
    """The central 95% of `second - first` over resamples of the rows, each of them the same for both.

    `first` and `second` give a model's score for rows weighted so; a resample of one class counts for neither.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    gains = np.full(samples, np.nan)
    for sample in range(samples):
        weight = np.bincount(rng.integers(0, rows, rows), minlength=rows).astype(np.float64)
        gains[sample] = second(weight) - first(weight)
    finite = gains[np.isfinite(gains)]
    if not len(finite):
        return np.nan, np.nan
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def weighted_roc_auc(
    target: "NDArray[np.int8]", probability: "NDArray[np.float64]"
) -> Callable[["NDArray[np.float64]"], float]:
    """ROC AUC of these predictions as a function of the rows' weights; NaN when one class weighs nothing."""
    import numpy as np

    order = np.argsort(probability, kind="stable")
    positive = target[order].astype(np.float64)
    # Rows of equal probability form one group: a pair within it counts half.
    group = np.concatenate([[0], np.cumsum(np.diff(probability[order]) > 0)])

    def score(weight: "NDArray[np.float64]") -> float:
        sorted_weight = weight[order]
        ones = np.bincount(group, sorted_weight * positive)
        zeros = np.bincount(group, sorted_weight * (1 - positive))
        pairs = ones.sum() * zeros.sum()
        below = np.cumsum(zeros) - zeros
        return float((ones * (below + zeros / 2)).sum() / pairs) if pairs else np.nan

    return score


def weighted_f1(target: "NDArray[np.int8]", called: "NDArray[np.bool_]") -> Callable[["NDArray[np.float64]"], float]:
    """The F1 of both classes, averaged by how often each occurs, as a function of the rows' weights."""
    import numpy as np

    cell = 2 * target.astype(np.int64) + called

    def score(weight: "NDArray[np.float64]") -> float:
        true_zero, false_one, false_zero, true_one = np.bincount(cell, weight, minlength=4)
        wrong = false_one + false_zero
        total = 0.0
        for right, actual in ((true_zero, true_zero + false_one), (true_one, true_one + false_zero)):
            total += actual * (2 * right / (2 * right + wrong) if right else 0.0)
        return float(total / weight.sum())

    return score


def _compare(environment: Environment, champion: Row, challenger: Row, params: ChallengeParams) -> Comparison:
    import numpy as np

    from champion.core.files import read_parquet
    from champion.table.columns import TARGET

    held_out = read_parquet(environment.root / PREPARED / "test.parquet")
    rows = _unseen(held_out, environment, (champion, challenger))
    needed = params.challenge.min_rows
    if rows.height < needed:
        raise UserError(
            f"only {rows.height:,} of {held_out.height:,} held-out rows are new to both, {needed:,} are needed "
            "(`challenge.min_rows` in params.yaml)"
        )
    target = rows[TARGET].to_numpy()
    if len(np.unique(target)) < 2:
        raise UserError("the rows that are new to both hold one class only")
    first, second = (_scorer(environment, version, rows, target, params) for version in (champion, challenger))
    before, after = (scorer(np.ones(len(target))) for scorer in (first, second))
    low, high = paired_interval(len(target), first, second, params.challenge.samples, params.challenge.seed)
    return Comparison(params.challenge.metric, rows.height, held_out.height - rows.height, before, after, low, high)


def _unseen(held_out: "pl.DataFrame", environment: Environment, versions: tuple[Row, ...]) -> "pl.DataFrame":
    from champion.registry.training_rows import seen

    known = [
        seen(held_out, registered_file(environment, version, TRAINING_ROWS_FILE), version.details["window"])
        for version in versions
    ]
    return held_out.filter(~known[0] & ~known[1])


def _scorer(
    environment: Environment,
    version: Row,
    rows: "pl.DataFrame",
    target: "NDArray[np.int8]",
    params: ChallengeParams,
) -> Callable[["NDArray[np.float64]"], float]:
    model: Model = load_bytes(registered_file(environment, version, MODEL_FILE), str(version.model_sha256))
    try:
        probability = model.predict(rows)
    except UserError as error:
        raise UserError(f"{version.version} cannot predict these rows: {error}") from None
    if params.challenge.metric == "roc_auc":
        return weighted_roc_auc(target, probability)
    threshold = model.base_rate if params.evaluate.threshold == "base_rate" else params.evaluate.threshold
    return weighted_f1(target, probability >= threshold)


def _shortfalls(comparison: Comparison, required: Challenge) -> list[str]:
    # A comparison with NaN is false, and so a no.
    reasons = []
    if not comparison.gain >= required.margin:
        reasons.append(f"its {comparison.metric} gains {comparison.gain:+.4f}, {required.margin:g} is needed")
    if not comparison.low > 0:
        reasons.append(f"the gain may be none: its 95% interval begins at {comparison.low:+.4f}")
    return reasons
