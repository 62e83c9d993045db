"""Stage `candidate@QUARTER`: the model that the recipe makes of what is known on that day -> candidates/QUARTER.skops.

It is the delivered model of a training on that day, and the judged model of the training a test and a horizon later.
"""

import sys
from datetime import date

from champion.core.errors import UserError
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.model.fitting import fit_pipeline
from champion.model.manifest import Manifest
from champion.model.model import Model
from champion.model.model_file import save
from champion.model.recipe import Training
from champion.pipeline.train.params import TrainParams
from champion.retraining.replay.history import History
from champion.retraining.replay.layout import CANDIDATES, ROOT


def main() -> None:
    day = date.fromisoformat(sys.argv[1])
    with stage_errors("candidate"):
        recipe, history = read(TrainParams, ROOT / "params.yaml").train, History.read()
        with progress(f"fitting {recipe.estimator} on what was known on {day}"):
            model = fit(recipe, history, day)
        CANDIDATES.mkdir(exist_ok=True)
        save(model, CANDIDATES / f"{day}.skops")


def fit(recipe: Training, history: History, day: date) -> Model:
    """The model of that day. Its cut is its base rate.

    Raises `UserError` when the recipe is searched or calibrated, which needs other models first, or when its rows have
    only one class.
    """
    if recipe.search.method != "none" or recipe.calibration != "none":
        raise UserError(
            "params.yaml: a replay fits one recipe as it is. Set `train.search.method` and `train.calibration` to "
            "`none`."
        )
    trained = history.trained(day)
    if trained.target.sum() in (0, len(trained.target)):
        raise UserError(f"the rows that were known on {day} have only one class. Remove this date from `quarters`.")
    rate = float(trained.target.mean())
    return Model(fit_pipeline(recipe, trained), Manifest(trained.features, rate, rate, made=str(day)))


if __name__ == "__main__":
    main()
