"""Stage 5: fit the chosen recipe on what is known at `as_of`, the model to deliver -> models/refit/."""

import shutil

from champion.core.files import replacing
from champion.core.layout import (
    AT_AS_OF,
    CUT_SCORES,
    FITTED,
    LABELLED,
    NEWEST,
    PIPELINE_FILE,
    REFITTED,
    TRAINED,
)
from champion.core.stage import progress, stage_errors
from champion.model.fitting import (
    calibrate,
    calibrated,
    fit_pipeline,
    predict,
    read_recipe,
    rehearse,
    write_fitted,
)
from champion.table.dataset import Dataset


def main() -> None:
    with stage_errors("refit"):
        recipe = read_recipe()
        data, newest = Dataset.read(AT_AS_OF / LABELLED), Dataset.read(AT_AS_OF / NEWEST)
        calendar = data.schema.calendar
        with replacing(REFITTED) as draft:
            if calendar is None:
                # Without dates, nothing became known since the judged model was made.
                draft.mkdir()
                for name in (PIPELINE_FILE, FITTED, CUT_SCORES):
                    shutil.copyfile(TRAINED / name, draft / name)
                print(f"{REFITTED}: the same as {TRAINED}, because the table has no dates")
                return
            trained = data.only(data.trained(calendar.as_of))
            with progress(f"fitting {recipe.estimator} on all {len(trained.target):,} rows known at {calendar.as_of}"):
                pipeline = fit_pipeline(recipe, trained)
                choosing = data.rehearsals(calendar.choosing(calendar.as_of))
                needed = [] if recipe.calibration == "none" else choosing
                calibration = calibrate(recipe, rehearse(recipe, data, needed))
                cut_scores = calibrated(predict(pipeline, newest), calibration)
            write_fitted(draft, calendar.as_of, pipeline, trained, calibration, cut_scores)
        print(f"{REFITTED}: {recipe.estimator}, fitted on {len(trained.target):,} rows")


if __name__ == "__main__":
    main()
