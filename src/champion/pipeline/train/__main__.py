"""Stage 4: choose the recipe, and fit it on what was known at the split -> models/train/, metrics/training.json."""

from champion.core.errors import UserError
from champion.core.files import read_json, replacing, write_json, write_parquet
from champion.core.layout import (
    AT_SPLIT,
    CHOOSING_SCORES,
    LABELLED,
    NEWEST,
    PARAMS,
    RECIPE,
    TRAINED,
    TRAINING,
    VALIDATED,
)
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.model.fitting import calibrate, calibrated, fit_pipeline, predict, write_fitted
from champion.model.scores import SCORE
from champion.pipeline.train.params import TrainParams
from champion.pipeline.train.stage import choose_recipe, choosing_rehearsals, describe_work, summarise
from champion.table.dataset import Dataset


def main() -> None:
    with stage_errors("train"):
        params = read(TrainParams, PARAMS).train
        if not read_json(VALIDATED):
            raise UserError(f"{VALIDATED}: the data did not pass validation. Run `dvc repro`.")
        data, newest = Dataset.read(AT_SPLIT / LABELLED), Dataset.read(AT_SPLIT / NEWEST)
        trained, calendar = data.judged, data.schema.calendar
        with progress(describe_work(params, len(choosing_rehearsals(data)), len(trained.target))):
            recipe, scores = choose_recipe(params, data)
            pipeline, calibration = fit_pipeline(recipe, trained), calibrate(recipe, scores)
            # Without dates no row is newest, and the scores in the rehearsals are those of rows not learned from.
            cut_scores = scores[SCORE].to_numpy() if calendar is None else predict(pipeline, newest)
        with replacing(TRAINED) as draft:
            write_fitted(
                draft,
                None if calendar is None else calendar.split,
                pipeline,
                trained,
                calibration,
                calibrated(cut_scores, calibration),
            )
            (draft / RECIPE.name).write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
            write_parquet(draft / CHOOSING_SCORES.name, scores)
        summary = summarise(params, recipe, trained, scores)
        write_json(TRAINING, summary)
        found = f", ROC AUC {summary['roc_auc']:.3f} in its rehearsals" if summary["roc_auc"] is not None else ""
        print(f"{TRAINED}: {recipe.estimator}{found}")


if __name__ == "__main__":
    main()
