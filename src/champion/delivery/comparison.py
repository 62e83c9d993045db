"""What the judged models of two versions are worth on the same rows: the challenger's test rows, new to both."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from champion.core.errors import ConflictError, UserError
from champion.core.files import read_parquet
from champion.core.layout import SCHEMA, TEST
from champion.core.values import rounded
from champion.params import Challenge
from champion.registry.registry import Registry
from champion.registry.versions import TRAINING_ROWS_FILE, Version, load_bytes

if TYPE_CHECKING:
    import polars as pl

    from champion.model.bootstrap import Resamples, Scores, Target, Weighted
    from champion.model.model import Model
    from champion.table.dataset import Dataset


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


def compare(registry: Registry, champion: Version, challenger: Version, required: Challenge) -> Comparison:
    """Score both judged models on the challenger's test rows, less those from which either learned.

    Raises `UserError` when these rows are too few to tell, a feature is missing in all of them, or a model is missing
    or cannot predict them.
    """
    import numpy as np

    from champion.model.bootstrap import MIN_EFFECTIVE_GROUPS, Resamples
    from champion.model.weighted import weighted_brier
    from champion.table.dataset import Dataset, Schema

    root, both = registry.workspace, (champion, challenger)
    test = Dataset(read_parquet(root / TEST), Schema.read(root / SCHEMA))
    data = _unseen(test, registry, both)
    rows, tested = data.rows.height, test.rows.height
    half = required.min_rows is None
    needed = (tested + 1) // 2 if required.min_rows is None else required.min_rows
    if rows < needed:
        raise ConflictError(
            f"only {rows:,} of {tested:,} test rows are new to both models, but {needed:,} are needed "
            f"({'half of them, without ' if half else ''}`challenge.min_rows` in params.yaml)"
        )
    refuse_empty(data.rows, *both)
    if len(np.unique(data.target)) < 2:
        raise ConflictError("the test rows that are new to both models have only one class")
    resamples = Resamples(rows, data.groups, required.samples, required.seed)
    if resamples.effective is not None and resamples.effective < MIN_EFFECTIVE_GROUPS:
        raise ConflictError(
            f"the test rows that are new to both models make up {resamples.effective:.1f} effective groups by "
            f"{data.schema.group!r}, but an interval needs {MIN_EFFECTIVE_GROUPS}"
        )
    models = [_judged_model(registry, version) for version in both]
    probabilities = [_predict(model, data, version) for model, version in zip(models, both, strict=True)]
    gain = by_metric(required.metric, data.target, probabilities, models[1].manifest.cut)
    brier = [weighted_brier(data.target, probability) for probability in probabilities]
    return Comparison(required.metric, rows, tested - rows, _paired(gain, resamples), _paired(brier, resamples))


def refuse_empty(rows: "pl.DataFrame", *versions: Version) -> None:
    """Raise `ConflictError` naming a feature that is missing in every row, as the rows cannot test its use."""
    for version in versions:
        for name in (feature["name"] for feature in version.features):
            column = rows[name] if name in rows.columns else None
            if column is not None and (column.fill_nan(None) if column.dtype.is_float() else column).count() == 0:
                raise ConflictError(f"the feature {name!r} of {version.name} is missing in every test row")


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


def _unseen(test: "Dataset", registry: Registry, versions: tuple[Version, Version]) -> "Dataset":
    from champion.registry.training_rows import seen

    known = [seen(test.rows, registry.read_file(version, TRAINING_ROWS_FILE), version.window) for version in versions]
    return test.only(~known[0] & ~known[1])


def _judged_model(registry: Registry, version: Version) -> "Model":
    file = version.judged_file
    return load_bytes(registry.read_file(version, file), version.files[file])


def _predict(model: "Model", data: "Dataset", version: Version) -> "Scores":
    try:
        return model.predict(data.rows)
    except UserError as error:
        raise UserError(f"{version.name} cannot predict these rows: {error}") from None


def _paired(scores: Sequence["Weighted"], resamples: "Resamples") -> Paired:
    import numpy as np

    from champion.model.bootstrap import paired_interval

    champion, challenger = scores
    every_row = np.ones(resamples.rows)
    return Paired(champion(every_row), challenger(every_row), *paired_interval(champion, challenger, resamples))
