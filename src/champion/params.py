"""All of params.yaml. A stage reads only its own sections, with the class in its own folder."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from champion.core.errors import UserError
from champion.core.strict_yaml import Section, Sections, did_you_mean, read
from champion.pipeline.evaluate.metric_names import OF_TEST, OF_TRAINING
from champion.pipeline.evaluate.params import EvaluateParams
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.package.params import PackageParams
from champion.pipeline.prepare.params import Prepare, PrepareParams
from champion.pipeline.train.params import TrainParams
from champion.pipeline.validate.params import ValidateParams
from champion.table.window import Length, PositiveLength


class Compare(Section):
    """How much worse than the base each metric of the test may be before `champion compare` fails."""

    tolerances: dict[str, Annotated[float, Field(ge=0)]] = Field(default={})


class Challenge(Section):
    """What a challenger must achieve against the champion, on test rows that neither was trained on.

    A new recipe must gain `margin`. A refresh of the champion's recipe may not lose `max_loss`. `min_rows` test rows
    must be new to both models, by default half of them.
    """

    metric: Literal["roc_auc", "f1_weighted"] = "roc_auc"
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.01
    max_loss: Annotated[float, Field(ge=0, lt=1)] = 0.05
    min_rows: Annotated[int, Field(ge=2)] | None = None
    samples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0


class Triggers(Section):
    """When to train again. A trigger that is None is off.

    `age` since the last training; the `performance` of the live model, as a share of the best training's metric; the
    largest `psi` of a feature or of the score; the share of features that drifted (`drifted_share`); and the `volume`
    of rows labelled since the last training, as a share of the rows of that training. Performance and drift are noisy:
    they must have been due for as long as `debounce` says. Nothing is due before `cool_down` after a training.
    """

    age: PositiveLength | None = "7d"
    performance: Annotated[float, Field(gt=0, le=1)] | None = 0.95
    psi: Annotated[float, Field(gt=0)] | None = 0.2
    drifted_share: Annotated[float, Field(gt=0, lt=1)] | None = 0.5
    volume: Annotated[float, Field(gt=0)] | None = 0.2
    debounce: Length = "1d"
    cool_down: Length = "1d"


class Monitoring(Section):
    """How drift and performance are measured. `window` is the length of what is recent.

    Nothing is said of fewer than `min_rows` rows. `false_discoveries` is the share of features that may be called
    drifted although they did not (Benjamini and Hochberg 1995).
    """

    window: PositiveLength = "30d"
    min_rows: Annotated[int, Field(ge=2)] = 500
    false_discoveries: Annotated[float, Field(gt=0, lt=1)] = 0.01
    triggers: Triggers = Triggers()


class Params(IngestParams, PrepareParams, ValidateParams, TrainParams, PackageParams, EvaluateParams):
    """Every section of params.yaml."""

    whole: ClassVar[bool] = True
    # DVC needs each section that a stage reads.
    prepare: Prepare
    compare: Compare = Compare()
    challenge: Challenge = Challenge()
    monitoring: Monitoring = Monitoring()

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        readable = [*self.table.features, *self.table.named("segment")]
        for name in self.evaluate.segments:
            if name not in readable:
                hint = did_you_mean(name, readable)
                raise ValueError(f"evaluate.segments: {name!r} is no feature and has not the role segment{hint}")
        _check_metrics("gates", self.gates, OF_TEST | OF_TRAINING)
        _check_metrics("compare.tolerances", self.compare.tolerances, OF_TEST)
        values = self.columns[self.table.label].values
        for key, listed in (("positive", self.label.positive), ("negative", self.label.negative)):
            other = next((value for value in listed if values is not None and str(value) not in values), None)
            if other is not None:
                raise ValueError(f"label.{key}: {other!r} is not among the `values` of the column {self.table.label!r}")
        return self


def _check_metrics(section: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{section}.{name}: there is no such metric{did_you_mean(name, known)}")


STAGES: dict[str, type[Sections]] = {
    "ingest": IngestParams,
    "prepare": PrepareParams,
    "validate": ValidateParams,
    "train": TrainParams,
    "package": PackageParams,
    "evaluate": EvaluateParams,
}


def check(path: Path) -> None:
    """Raise `UserError`, with the stages that fail, for a mistake in params.yaml or in an estimator's parameter."""
    try:
        params = read(Params, path)
    except UserError as error:
        failing = [name for name, sections in STAGES.items() if not _readable(sections, path)]
        raise UserError(f"{error}{_consequence(failing)}") from None
    from champion.model.estimators import build_pipeline, check_grid
    from champion.table.features import features_of

    features = features_of(params.table)
    try:
        build_pipeline(params.train, features)
        check_grid(params.train, features)
    except UserError as error:
        raise UserError(f"{error}{_consequence(['train'])}") from None


def _readable(sections: type[Sections], path: Path) -> bool:
    try:
        read(sections, path)
    except UserError:
        return False
    return True


def _consequence(failing: list[str]) -> str:
    if not failing:
        return ""
    *others, last = failing
    return f" The stages {', '.join(others)} and {last} would fail." if others else f" The stage {last} would fail."
