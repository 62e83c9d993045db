"""Whether a challenger replaces the champion, on held-out rows that neither was trained on. In doubt, it loses."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from champion.core.errors import ConflictError, NotFoundError, UserError
from champion.core.files import read_parquet, sha256_of
from champion.core.layout import MODEL, PARAMS, PREPARED, TEST
from champion.core.strict_yaml import Sections, read
from champion.core.values import rounded
from champion.delivery.gate import shortfalls
from champion.delivery.listeners import follow
from champion.params import Challenge
from champion.pipeline.evaluate.params import Evaluate, Gate
from champion.registry import history
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.versions import MODEL_FILE, TRAINING_ROWS_FILE, Version, load_bytes
from champion.repository.committed import require_committed
from champion.repository.lock import dvc_md5, verify_run

if TYPE_CHECKING:
    import polars as pl

    from champion.model.bootstrap import Scores, Target


class ChallengeParams(Sections):
    """The sections of params.yaml that a challenge reads."""

    evaluate: Evaluate
    gates: dict[str, Gate]
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
    """The result, with every reason why the challenger lost.

    `row` is its row in the ledger. If nothing was judged, `row` is None and `stays` says why the champion stays.
    """

    challenger: str
    champion: str | None
    row: Row | None = None
    reasons: Sequence[str] = ()
    comparison: Comparison | None = None
    stays: str | None = None

    @property
    def won(self) -> bool | None:
        """Whether the challenger is now the champion; None when nothing was judged."""
        return None if self.stays else not self.reasons


def challenge(registry: Registry, name: str | None = None) -> Verdict:
    """Judge a registered version, by default the version of the model on disk, and record the result.

    The version must be the model on disk. Nothing is judged if it is the champion, or if the pair was compared before
    on the same rows with the same limits. Raises `UserError` when there is nothing to judge, or when the limits or
    dvc.lock are not committed. If anything else is missing, the challenger loses.
    """
    root, rows = registry.environment.root, registry.rows
    require_committed(root)
    params = read(ChallengeParams, root / PARAMS)
    challenger = _on_disk(registry) if name is None else registry.resolve(name)
    holder = history.champion(rows)
    if holder == challenger.name:
        return Verdict(challenger.name, holder, stays="it is itself the version to judge")
    required = params.challenge.model_dump(mode="json") | {"threshold": params.evaluate.threshold}
    reasons: list[str] = []
    comparison = held_out_md5 = None
    try:
        outs = verify_run(root, (MODEL, PREPARED))
        held_out_md5 = str(dvc_md5(root / TEST))
        if sha256_of(root / MODEL) != challenger.model_sha256:
            reasons.append(f"{MODEL} is not {challenger.name}: check out the commit from which it was registered")
        if challenger.dirty and challenger.lineage != outs:
            reasons.append(
                f"{challenger.name} was registered with uncommitted changes, and then another result was committed"
            )
        reasons += shortfalls(challenger.metrics, params.gates)
        if holder is None:
            _refuse_empty(read_parquet(root / TEST), challenger)
        elif not reasons:
            earlier = history.comparison(rows, holder, challenger.name, held_out_md5, required)
            if earlier is not None:
                return Verdict(challenger.name, holder, stays=_told(earlier))
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
                "required": required,
                "held_out_md5": held_out_md5,
            },
        )
    follow(registry, row)
    return Verdict(challenger.name, holder, row, reasons, comparison)


def _on_disk(registry: Registry) -> Version:
    sha256 = sha256_of(registry.environment.root / MODEL)
    found = (one for one in history.versions(registry.rows).values() if one.model_sha256 == sha256)
    version = next(found, None)
    if version is None:
        raise NotFoundError(f"{MODEL} is not registered. Run `champion register`.")
    return version


def _told(earlier: Row) -> str:
    if earlier.outcome:
        return (
            f"{earlier.version} won against it on these rows before (ledger row {earlier.sequence}), but was replaced "
            "again"
        )
    return f"{earlier.version} lost to it on these rows before (ledger row {earlier.sequence}): {earlier.reason}"


def _compare(registry: Registry, champion: Version, challenger: Version, params: ChallengeParams) -> Comparison:
    import numpy as np

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
    _refuse_empty(rows, champion, challenger)
    target = rows[TARGET].to_numpy()
    if len(np.unique(target)) < 2:
        raise ConflictError("the held-out rows that are new to both models have only one class")
    first, second = (_scorer(registry, version, rows, target, params) for version in (champion, challenger))
    before, after = (scorer(np.ones(len(target))) for scorer in (first, second))
    low, high = paired_interval(len(target), first, second, params.challenge.samples, params.challenge.seed)
    return Comparison(params.challenge.metric, rows.height, held_out.height - rows.height, before, after, low, high)


def _refuse_empty(rows: "pl.DataFrame", *versions: Version) -> None:
    """Raise `ConflictError` naming a feature that is missing in every row, as the rows cannot test its use."""
    for version in versions:
        for name in (feature["name"] for feature in version.features):
            column = rows[name] if name in rows.columns else None
            if column is not None and (column.fill_nan(None) if column.dtype.is_float() else column).count() == 0:
                raise ConflictError(f"the feature {name!r} of {version.name} is missing in every held-out row")


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
