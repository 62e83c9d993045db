"""Stage 7: each fitted model with its manifest and its cut -> models/rehearsed.skops, models/model.skops."""

from pathlib import Path

from champion.core.files import read_json, read_parquet
from champion.core.layout import (
    CHOOSING_SCORES,
    CUT_SCORES,
    EXCLUDED,
    FITTED,
    MODEL,
    PARAMS,
    PIPELINE_FILE,
    REFITTED,
    REHEARSED,
    SCHEMA,
    TRAINED,
)
from champion.core.stage import stage_errors
from champion.core.strict_yaml import read
from champion.model.archive import complete
from champion.model.calibration import Calibration
from champion.model.manifest import Manifest
from champion.pipeline.package.params import PackageParams
from champion.pipeline.package.stage import cut_of, share_to_flag
from champion.table.features import parse_features
from champion.table.text_form import TextForm


def main() -> None:
    with stage_errors("package"):
        decision = read(PackageParams, PARAMS).decision
        share = share_to_flag(decision, read_parquet(CHOOSING_SCORES))
        made = {TRAINED: REHEARSED, REFITTED: MODEL}
        # Both cuts come first, so that a refusal leaves both files as they were.
        cuts = {folder: cut_of(decision, share, read_parquet(folder / CUT_SCORES)) for folder in made}
        for folder, path in made.items():
            cut = cuts[folder]
            complete(folder / PIPELINE_FILE, _manifest(folder, cut), path)
            flagged = "" if share is None else f", which flags at most {share:.1%} of the rows that set it"
            print(f"{path}: cut {cut:.4f}{flagged}")


def _manifest(folder: Path, cut: float) -> Manifest:
    schema, facts = read_json(SCHEMA), read_json(folder / FITTED)
    calibration = facts["calibration"]
    return Manifest(
        parse_features(schema["features"]),
        facts["positives"] / facts["rows"],
        cut,
        None if calibration is None else Calibration.parse(calibration),
        schema["exclusions"],
        facts["made"],
        facts["reference"],
        TextForm.model_validate(read_json(EXCLUDED).get("form", {})),
    )


if __name__ == "__main__":
    main()
