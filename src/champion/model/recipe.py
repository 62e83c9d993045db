"""How a model is made: the `train` section of params.yaml, and the recipe that training chose from it."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from champion.core.strict_yaml import Section, did_you_mean
from champion.table.window import PositiveLength

OURS = ("hist_gradient_boosting", "random_forest", "logistic_regression")
_CLASS = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def _is_estimator(name: str) -> str:
    if name not in OURS and not _CLASS.fullmatch(name):
        listed = f"`{'`, `'.join(OURS)}`"
        raise ValueError(
            f"give {listed} or a class{did_you_mean(name, OURS)}, such as `sklearn.ensemble:ExtraTreesClassifier`"
        )
    return name


def section_of(estimator: str) -> str:
    """The key of `train` with the parameters of this estimator."""
    return estimator if estimator in OURS else "parameters"


class Recipe(Section):
    """A model to fit. Each section with the name of an estimator holds the parameters of that scikit-learn estimator.

    An `estimator` such as `package.module:Class` is a class or a function that gives a scikit-learn classifier when it
    is called with `parameters`; that of `own.module:Class` is in own/.
    `recency_half_life` lets a row count half as much for each such length that it is older than the newest one.
    `calibration` corrects the probabilities by what they were worth in the rehearsals that choose the recipe.
    """

    estimator: Annotated[str, AfterValidator(_is_estimator)]
    hist_gradient_boosting: dict[str, Any] = Field(default={})
    random_forest: dict[str, Any] = Field(default={})
    logistic_regression: dict[str, Any] = Field(default={})
    parameters: dict[str, Any] = Field(default={})
    max_categories: Annotated[int, Field(ge=2, le=250)] = 100
    native_categories: bool = False
    recency_half_life: PositiveLength | None = None
    calibration: Literal["none", "sigmoid", "isotonic"] = "none"
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _fits_estimator(self) -> Self:
        if self.native_categories and self.estimator != "hist_gradient_boosting":
            raise ValueError("`native_categories` is for the estimator hist_gradient_boosting")
        return self

    @property
    def is_ours(self) -> bool:
        """Whether champion itself has the estimator; else it is a class or function that the user names."""
        return self.estimator in OURS

    @property
    def section(self) -> str:
        """The key of `train` with the parameters of the estimator."""
        return section_of(self.estimator)

    @property
    def estimator_parameters(self) -> dict[str, Any]:
        """The parameters of the estimator."""
        parameters: dict[str, Any] = getattr(self, self.section)
        return parameters

    def with_parameters(self, chosen: dict[str, Any]) -> "Recipe":
        """The recipe whose estimator has these parameters too, without how they were searched."""
        fields = {name: getattr(self, name) for name in Recipe.model_fields}
        return Recipe(**fields | {self.section: self.estimator_parameters | chosen})


class Search(Section):
    """How hyper-parameters are chosen: by their mean score in the rehearsals that choose the recipe."""

    method: Literal["none", "grid", "halving", "random"] = "none"
    scoring: Literal["roc_auc", "average_precision", "neg_brier_score", "neg_log_loss", "f1_weighted"] = "roc_auc"
    candidates: Annotated[int, Field(ge=1)] = 10
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default={})

    @model_validator(mode="after")
    def _has_grid(self) -> Self:
        if self.method != "none" and not self.grid:
            raise ValueError(f"method `{self.method}` needs a `grid`")
        return self


class Training(Recipe):
    """A recipe, and how its hyper-parameters are chosen."""

    search: Search = Search()
