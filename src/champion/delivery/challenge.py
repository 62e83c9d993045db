"""Whether a challenger replaces the champion, on held-out rows that neither was trained on. In doubt, it loses."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from champion.core.errors import ConflictError, UserError
from champion.core.files import sha256_of
from champion.core.layout import MODEL, PARAMS, TEST
from champion.core.strict_yaml import Sections, read
from champion.core.values import rounded
from champion.delivery.gate import failures
from champion.delivery.listeners import follow
from champion.params import Challenge
from champion.pipeline.evaluate.params import Evaluate
from champion.registry import history
from champion.registry.chain import Row, breaks
from champion.registry.registry import Registry
from champion.registry.versions import MODEL_FILE, TRAINING_ROWS_FILE, Version, load_bytes

if TYPE_CHECKING:
    import polars as pl

    from champion.model.bootstrap import Scores, Target


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
    """The result with every reason why the challenger lost; `row` is its row in the ledger."""

    row: Row
    reasons: list[str]
    comparison: Comparison | None

    @property
    def won(self) -> bool:
        """Whether the challenger is the champion from now on."""
        return not self.reasons


def challenge(registry: Registry, name: str = "challenger") -> Verdict:
    """Judge a registered version, which must be the model in the workspace, and record the result.

    The challenger loses when anything needed is missing. Raises `UserError` when there is nothing to judge.
    """
    root, rows = registry.environment.root, registry.rows
    challenger = history.resolve(rows, name, registry.sharing)
    holder = history.champion(rows)
    if holder == challenger.name:
        raise ConflictError(f"{holder} is already the champion. Register a challenger with `champion register`.")
    params = read(ChallengeParams, root / PARAMS)
    reasons = ["the ledger was edited (`champion audit` says where)"] if breaks(rows, None) else []
    comparison = None
    try:
        if sha256_of(root / MODEL) != challenger.model_sha256:
            reasons.append(f"{MODEL} is not {challenger.name}: check out the commit from which it was registered")
        reasons += failures(root)
        if holder is not None and not reasons:
            comparison = _compare(registry, history.versions(rows)[holder], challenger, params)
            reasons += _shortfalls(comparison, params.challenge)
    except UserError as error:
        reasons.append(str(error))
    with registry.ledger.appending() as session:
        if history.champion(session.rows) != holder:
            raise ConflictError("the champion changed while this challenge ran. Nothing was recorded; run it again.")
        row = session.append(
            "challenge",
            version=challenger.name,
            from_version=holder,
            model_sha256=challenger.model_sha256,
            reason="; ".join(reasons) or None,
            details={
                "promoted": not reasons,
                "comparison": rounded(asdict(comparison) | {"gain": comparison.gain}) if comparison else None,
                "required": params.challenge.model_dump(mode="json"),
            },
        )
    follow(registry, row)
    return Verdict(row, reasons, comparison)


def unchallenged(registry: Registry) -> str | None:
    """The champion if it is the newest version, so that it has no challenger; else None."""
    holder = history.champion(registry.rows)
    return holder if holder == next(reversed(history.versions(registry.rows)), None) else None


def _compare(registry: Registry, champion: Version, challenger: Version, params: ChallengeParams) -> Comparison:
    import numpy as np

    from champion.core.files import read_parquet
    from champion.model.bootstrap import paired_interval
    from champion.table.columns import TARGET

    held_out = read_parquet(registry.environment.root / TEST)
    rows = _unseen(held_out, registry, (champion, challenger))
    needed = params.challenge.min_rows
    if rows.height < needed:
        raise ConflictError(
            f"only {rows.height:,} of {held_out.height:,} held-out rows are new to both models, but {needed:,} are "
            "needed (`challenge.min_rows` in params.yaml)"
        )
    target = rows[TARGET].to_numpy()
    if len(np.unique(target)) < 2:
        raise ConflictError("the held-out rows that are new to both models have only one class")
    first, second = (_scorer(registry, version, rows, target, params) for version in (champion, challenger))
    before, after = (scorer(np.ones(len(target))) for scorer in (first, second))
    low, high = paired_interval(len(target), first, second, params.challenge.samples, params.challenge.seed)
    return Comparison(params.challenge.metric, rows.height, held_out.height - rows.height, before, after, low, high)


def _unseen(held_out: "pl.DataFrame", registry: Registry, versions: tuple[Version, Version]) -> "pl.DataFrame":
    from champion.registry.training_rows import seen

    known = [seen(held_out, registry.read_file(version, TRAINING_ROWS_FILE), version.window) for version in versions]
    return held_out.filter(~known[0] & ~known[1])


def _scorer(
    registry: Registry, version: Version, rows: "pl.DataFrame", target: "Target", params: ChallengeParams
) -> Callable[["Scores"], float]:
    from champion.model.bootstrap import weighted_f1, weighted_roc_auc
    from champion.model.model import is_positive

    model = load_bytes(registry.read_file(version, MODEL_FILE), version.model_sha256)
    try:
        probability = model.predict(rows)
    except UserError as error:
        raise UserError(f"{version.name} cannot predict these rows: {error}") from None
    if params.challenge.metric == "roc_auc":
        return weighted_roc_auc(target, probability)
    return weighted_f1(target, is_positive(probability, model.threshold(params.evaluate.threshold)))


def _shortfalls(comparison: Comparison, required: Challenge) -> list[str]:
    # `not` is needed: a comparison with NaN is false, and NaN must count as a shortfall.
    reasons = []
    if not comparison.gain >= required.margin:
        reasons.append(f"its {comparison.metric} gain is {comparison.gain:+.4f}, but {required.margin:g} is needed")
    if not comparison.low > 0:
        reasons.append(f"the gain may be zero: its 95% interval begins at {comparison.low:+.4f}")
    return reasons
