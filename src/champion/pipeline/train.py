"""Stage 4: choose, cross-validate and fit the model on training rows -> models/model.skops, metrics/training.json."""

import os
from pathlib import Path
from typing import Any

# OpenMP reads this when scikit-learn loads it. Boosting's threads meet thousands of times; spinning until the last one
# comes makes a busy machine five times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from champion.artifacts import read_json, write_json
from champion.data.dataset import Dataset, read_split
from champion.errors import UserError, told_plainly
from champion.modeling.estimators import build_pipeline, settle
from champion.modeling.search import Fitted, fit
from champion.modeling.store import Model, save
from champion.params import Sections, Train, load

PREPARED = Path("data/prepared")
SEAL = Path("data/validated.json")
MODEL = Path("models/model.skops")
METRICS = Path("metrics/training.json")


class TrainParams(Sections):
    """The sections of params.yaml that this stage reads."""

    train: Train


def train_model(train: Train, data: Dataset) -> tuple[Model, Fitted]:
    """The fitted model, and how it was chosen and scored. Raises `UserError` for parameters the estimator refuses."""
    fitted = fit(build_pipeline(train, data.features), train.search, train.seed, data.frame, data.target)
    return Model(settle(fitted.pipeline), data.features, float(data.target.mean())), fitted


def summarise(train: Train, data: Dataset, fitted: Fitted) -> dict[str, Any]:
    """Cross-validation scores (mean and standard deviation over folds) and what they are scores of."""
    return {
        "rows": len(data.target),
        "base_rate": float(data.target.mean()),
        "estimator": train.estimator,
        "search": train.search.method,
        "chosen": fitted.chosen,
        "folds": train.search.folds,
        "cross_validation": {
            name: {"mean": float(scores.mean()), "std": float(scores.std())} for name, scores in fitted.scores.items()
        },
    }


def main() -> None:
    with told_plainly():
        params = load(TrainParams)
        if not read_json(SEAL):
            raise UserError(f"{SEAL}: the data did not pass validation. Run `dvc repro`.")
        data = read_split(PREPARED, "train")
        model, fitted = train_model(params.train, data)
        save(model, MODEL)
        write_json(METRICS, summarise(params.train, data, fitted))
        auc = fitted.scores["roc_auc"]
        print(f"{MODEL}: {params.train.estimator}, cross-validated ROC AUC {auc.mean():.3f} ± {auc.std():.3f}")


if __name__ == "__main__":
    main()
