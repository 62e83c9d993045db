"""Stage 4: choose, cross-validate and fit the model on training rows -> models/model.skops, metrics/training.json."""

import os

# OpenMP reads this when scikit-learn loads it. The threads of boosting wait for each other thousands of times. Without
# this, waiting threads use the CPU, which makes a busy machine five times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from champion.core.errors import UserError
from champion.core.files import read_json, write_json
from champion.core.layout import MODEL, PARAMS, PREPARED, TRAINING, VALIDATED
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.model.model_file import save
from champion.pipeline.train.params import TrainParams
from champion.pipeline.train.stage import describe_work, summarise, train_model
from champion.table.dataset import read_split


def main() -> None:
    with stage_errors():
        params = read(TrainParams, PARAMS)
        if not read_json(VALIDATED):
            raise UserError(f"{VALIDATED}: the data did not pass validation. Run `dvc repro`.")
        data = read_split(PREPARED, "train")
        with progress(describe_work(params.train, len(data.target))):
            model, fitted = train_model(params.train, data)
        save(model, MODEL)
        write_json(TRAINING, summarise(params.train, data, fitted))
        auc = fitted.scores["roc_auc"]
        print(f"{MODEL}: {params.train.estimator}, cross-validated ROC AUC {auc.mean():.3f} ± {auc.std():.3f}")


if __name__ == "__main__":
    main()
