"""All of params.yaml. A stage reads only its own sections, with the class in its own folder."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from champion.core.errors import UserError
from champion.core.strict_yaml import Section, Sections, read
from champion.pipeline.evaluate.params import EvaluateParams
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.package.params import PackageParams
from champion.pipeline.train.params import TrainParams
from champion.pipeline.validate.params import ValidateParams
from champion.table.params import TableParams


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
    max_loss: Annotated[float, Field(ge=0, lt=1)] = 0.02
    min_rows: Annotated[int, Field(ge=2)] | None = None
    samples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0


class Params(IngestParams, ValidateParams, TrainParams, PackageParams, EvaluateParams):
    """Every section of params.yaml."""

    whole: ClassVar[bool] = True
    compare: Compare = Compare()
    challenge: Challenge = Challenge()


STAGES: dict[str, type[Sections]] = {
    "ingest": IngestParams,
    "prepare": TableParams,
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
