"""The whole of params.yaml; each stage reads only its own sections, from its own folder."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from champion.core.strict_yaml import Section
from champion.pipeline.evaluate.params import EvaluateParams
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.train.params import TrainParams
from champion.pipeline.validate.params import ValidateParams


class Compare(Section):
    """How far each held-out metric may move the wrong way, against a base, before `champion compare` fails."""

    tolerances: dict[str, Annotated[float, Field(ge=0)]] = Field(default={})


class Challenge(Section):
    """What a challenger must show against the champion, on held-out rows that neither trained on."""

    metric: Literal["roc_auc", "f1_weighted"] = "roc_auc"
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.01
    min_rows: Annotated[int, Field(ge=2)] = 1000
    samples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0


class Params(IngestParams, PrepareParams, ValidateParams, TrainParams, EvaluateParams):
    """Every section of params.yaml."""

    whole: ClassVar[bool] = True
    compare: Compare = Compare()
    challenge: Challenge = Challenge()
