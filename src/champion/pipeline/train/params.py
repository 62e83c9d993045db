"""The sections of params.yaml that train reads."""

from champion.core.strict_yaml import Sections
from champion.model.recipe import Training


class TrainParams(Sections):
    """The sections of params.yaml that train reads."""

    train: Training
