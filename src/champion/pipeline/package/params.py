"""The sections of params.yaml that package reads."""

from champion.core.strict_yaml import Sections
from champion.model.decision import Decision


class PackageParams(Sections):
    """The sections of params.yaml that package reads."""

    decision: Decision
