"""Whether a challenger replaces the champion: the judged models on test rows new to both. In doubt, it loses."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from champion.core.errors import ConflictError, NotFoundError, UserError
from champion.core.files import read_parquet, sha256_of
from champion.core.layout import MODEL, PARAMS, REHEARSED, SCHEMA, TEST
from champion.core.strict_yaml import Sections, read
from champion.core.values import rounded
from champion.delivery.gate import shortfalls
from champion.delivery.listeners import follow
from champion.params import Challenge
from champion.pipeline.evaluate.params import Gate
from champion.registry import history
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.versions import REHEARSED_FILE, TRAINING_ROWS_FILE, Version, load_bytes
from champion.repository.committed import require_committed
from champion.repository.lock import dvc_md5, verify_run
from champion.table.columns import Column, Columns

if TYPE_CHECKING:
    import polars as pl

    from champion.model.bootstrap import Scores
    from champion.table.dataset import Dataset


class ChallengeParams(Sections):
    """The sections of params.yaml that a challenge reads."""

    columns: dict[str, Column]
    gates: dict[str, Gate]
    challenge: Challenge = Challenge()

    @property
    def required(self) -> dict[str, Any]:
        """The limits, and the column whose groups are resampled, as JSON. Each model's file has its own cut."""
        return self.challenge.model_dump(mode="json") | {"group": Columns(self.columns).only("group")}


@dataclass(frozen=True)
class Comparison:
    """The scores of both judged models on the same rows, and the 95% paired bootstrap interval of the difference."""

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

    The version's models must be those on disk. Nothing is judged if it is the champion, or if the pair was compared
    before on the same rows with the same limits. Raises `UserError` when there is nothing to judge, or when the limits
    or dvc.lock are not committed. If anything else is missing, the challenger loses.
    """
    root, rows = registry.environment.root, registry.rows
    require_committed(root)
    params = read(ChallengeParams, root / PARAMS)
    challenger = _on_disk(registry) if name is None else registry.resolve(name)
    holder = history.champion(rows)
    if holder == challenger.name:
        return Verdict(challenger.name, holder, stays="it is itself the version to judge")
    reasons: list[str] = []
    comparison = held_out_md5 = None
    try:
        outs = verify_run(root, (MODEL, REHEARSED, TEST, SCHEMA))
        held_out_md5 = str(dvc_md5(root / TEST))
        registered = {MODEL: challenger.model_sha256, REHEARSED: challenger.files.get(REHEARSED_FILE)}
        reasons += [
            f"{path} is not that of {challenger.name}: check out the commit from which it was registered"
            for path, sha256 in registered.items()
            if sha256_of(root / path) != sha256
        ]
        if challenger.dirty and challenger.lineage != outs:
            reasons.append(
                f"{challenger.name} was registered with uncommitted changes, and then another result was committed"
            )
        reasons += shortfalls(challenger.metrics, challenger.training, params.gates)
        if holder is None:
            _refuse_empty(read_parquet(root / TEST), challenger)
        elif not reasons:
            earlier = history.comparison(rows, holder, challenger.name, held_out_md5, params.required)
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
                "required": params.required,
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

    from champion.model.bootstrap import MIN_EFFECTIVE_GROUPS, Resamples, paired_interval
    from champion.table.dataset import Dataset, Schema

    root, required, both = registry.environment.root, params.challenge, (champion, challenger)
    test = Dataset(read_parquet(root / TEST), Schema.read(root / SCHEMA))
    data = _unseen(test, registry, both)
    rows = data.rows.height
    if rows < required.min_rows:
        raise ConflictError(
            f"only {rows:,} of {test.rows.height:,} test rows are new to both models, but {required.min_rows:,} are "
            "needed (`challenge.min_rows` in params.yaml)"
        )
    _refuse_empty(data.rows, *both)
    if len(np.unique(data.target)) < 2:
        raise ConflictError("the test rows that are new to both models have only one class")
    resamples = Resamples(rows, data.groups, required.samples, required.seed)
    if resamples.effective is not None and resamples.effective < MIN_EFFECTIVE_GROUPS:
        raise ConflictError(
            f"the test rows that are new to both models make up {resamples.effective:.1f} effective groups by "
            f"{data.schema.group!r}, but an interval needs {MIN_EFFECTIVE_GROUPS}"
        )
    first, second = (_scorer(registry, version, data, required.metric) for version in both)
    before, after = (scorer(np.ones(rows)) for scorer in (first, second))
    low, high = paired_interval(first, second, resamples)
    return Comparison(required.metric, rows, test.rows.height - rows, before, after, low, high)


def _refuse_empty(rows: "pl.DataFrame", *versions: Version) -> None:
    """Raise `ConflictError` naming a feature that is missing in every row, as the rows cannot test its use."""
    for version in versions:
        for name in (feature["name"] for feature in version.features):
            column = rows[name] if name in rows.columns else None
            if column is not None and (column.fill_nan(None) if column.dtype.is_float() else column).count() == 0:
                raise ConflictError(f"the feature {name!r} of {version.name} is missing in every test row")


def _unseen(test: "Dataset", registry: Registry, versions: tuple[Version, Version]) -> "Dataset":
    from champion.registry.training_rows import seen

    known = [seen(test.rows, registry.read_file(version, TRAINING_ROWS_FILE), version.window) for version in versions]
    return test.only(~known[0] & ~known[1])


def _scorer(registry: Registry, version: Version, data: "Dataset", metric: str) -> Callable[["Scores"], float]:
    from champion.model.model import is_positive
    from champion.model.weighted import weighted_f1, weighted_roc_auc

    file = version.judged_file
    model = load_bytes(registry.read_file(version, file), version.files[file])
    try:
        probability = model.predict(data.rows)
    except UserError as error:
        raise UserError(f"{version.name} cannot predict these rows: {error}") from None
    if metric == "roc_auc":
        return weighted_roc_auc(data.target, probability)
    return weighted_f1(data.target, is_positive(probability, model.manifest.cut))


def _shortfalls(comparison: Comparison, required: Challenge) -> list[str]:
    # `not` is needed: a comparison with NaN is false, and NaN must count as a shortfall.
    reasons = []
    if not comparison.gain >= required.margin:
        reasons.append(f"its {comparison.metric} gain is {comparison.gain:+.4f}, but {required.margin:g} is needed")
    if not comparison.low > 0:
        reasons.append(f"the gain may be zero: its 95% interval begins at {comparison.low:+.4f}")
    return reasons
