"""How a model is made: the `train` section of params.yaml."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from champion.core.strict_yaml import Section


class Search(Section):
    """How hyper-parameters are chosen, by k-fold cross-validation on training rows only."""

    method: Literal["none", "grid", "halving", "random"]
    folds: Annotated[int, Field(ge=2, le=50)] = 5
    scoring: Literal["roc_auc", "average_precision", "neg_brier_score", "neg_log_loss", "f1_weighted"] = "roc_auc"
    candidates: Annotated[int, Field(ge=1)] = 10
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default={})

    @model_validator(mode="after")
    def _has_grid(self) -> Self:
        if self.method != "none" and not self.grid:
            raise ValueError(f"method `{self.method}` needs a `grid`")
        return self


class Recipe(Section):
    """The model. Each section with the name of an estimator holds the parameters of that scikit-learn estimator."""

    estimator: Literal["hist_gradient_boosting", "random_forest", "logistic_regression"]
    hist_gradient_boosting: dict[str, Any] = Field(default={})
    random_forest: dict[str, Any] = Field(default={})
    logistic_regression: dict[str, Any] = Field(default={})
    max_categories: Annotated[int, Field(ge=2, le=250)] = 100
    seed: Annotated[int, Field(ge=0)] = 0
    search: Search
