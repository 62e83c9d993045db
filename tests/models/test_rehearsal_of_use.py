"""The judged model is the one that would have been delivered at the split date: on every 40th loan of the real file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from champion.model.model_file import load
from support.project import Project
from support.refusals import run_stage

SPLIT = "2008-01-01"
RECIPES: dict[str, dict[str, Any]] = {
    "the sample's recipe": {},
    "calibrated natives that forget": {
        "calibration": "isotonic",
        "native_categories": True,
        "recency_half_life": 12,
        "search": {"method": "grid", "grid": {"max_leaf_nodes": [4, 15]}},
    },
}


def changed(project: Project, folder: Path, *, train: Mapping[str, Any], **sections: Any) -> Project:
    """A copy of the project with other params."""
    copy = project.copy_to(folder)

    def edit(params: dict[str, Any]) -> None:
        params |= sections
        params["train"] |= train

    copy.edit_params(edit)
    return copy


@pytest.mark.parametrize("name", RECIPES)
def test_the_judged_model_is_the_one_delivered_at_the_split_date(
    sample_run: Project, tmp_path: Path, name: str
) -> None:
    later = changed(sample_run, tmp_path / "later", train=RECIPES[name])
    for stage in ("train", "package"):
        run_stage(later, stage)
    then = changed(later, tmp_path / "then", train={}, as_of=SPLIT)
    # models/train still holds the recipe that was chosen with the later date.
    for stage in ("ingest", "prepare", "refit", "package"):
        run_stage(then, stage)
    judged, delivered = later.folder / "models/rehearsed.skops", then.folder / "models/model.skops"
    assert load(judged).manifest.made == SPLIT
    assert delivered.read_bytes() == judged.read_bytes()
    assert (later.folder / "models/model.skops").read_bytes() != judged.read_bytes()


def written_by_train(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((project.folder / "models/train").iterdir())}


def test_no_label_that_became_known_after_the_split_date_changes_what_train_writes(
    sample_run: Project, tmp_path: Path
) -> None:
    project = sample_run.copy_to(tmp_path / "project")
    path = project.folder / "data/source/loans.csv"
    approved, charged_off = (
        pl.col(name).str.to_date("%d-%b-%y", strict=False) for name in ("ApprovalDate", "ChgOffDate")
    )
    open_then = approved.dt.offset_by("24mo") > pl.lit(SPLIT).str.to_date()
    late = charged_off >= pl.lit(SPLIT).str.to_date()
    rows = pl.read_csv(path, infer_schema=False)
    turned = (
        pl.when(open_then & pl.col("ChgOffDate").is_null())
        .then(pl.col("ApprovalDate"))
        .when(~open_then & late)
        .then(pl.lit("30-Jun-14"))
        .when(~open_then)
        .then("ChgOffDate")
    )
    known_later = rows.select(young=open_then.sum(), late=(~open_then & late).sum()).row(0)
    assert min(known_later) > 100
    rows.with_columns(ChgOffDate=turned).write_csv(path)
    before, test = written_by_train(project), (project.folder / "data/prepared/test.parquet").read_bytes()
    for stage in ("ingest", "prepare", "train"):
        run_stage(project, stage)
    assert (project.folder / "data/prepared/test.parquet").read_bytes() != test
    assert written_by_train(project) == before
