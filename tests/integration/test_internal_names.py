"""A table may call its columns as it likes, also as our own columns were once called, from ingest to the registry."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from champion.core.metrics_file import read_metrics
from champion.delivery.challenge import challenge
from champion.delivery.register import register
from champion.model.model_file import load
from champion.registry import history
from support.delivery import DeliveryProject
from support.project import Project
from support.refusals import run_stage

# Great Expectations imports what is about to be removed elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# Names of the small table, and what they are called here.
RENAMINGS = {
    "the label is the target": {"outcome": "target"},
    "a feature is the target": {"amount": "target"},
    "features are the target and the fold": {"amount": "target", "visits": "fold"},
    "features have the names of our answers": {"amount": "probability", "visits": "rehearsal", "region": "bin"},
    "features have the names of our checks": {"amount": "row", "visits": "half", "region": "text of case"},
}
UNDATED: dict[str, Any] = {"as_of": None, "window": None, "split": {"test_share": 0.25}}


def run_stages(project: Project) -> dict[str, Any]:
    for stage in ("ingest", "prepare", "validate", "train", "refit", "rehearse", "package", "evaluate", "export"):
        run_stage(project, stage)
    return read_metrics(project.folder / "metrics/evaluation.json")


def rename(project: Project, names: dict[str, str], *, dated: bool) -> None:
    """Rename columns of the project's table; without dates, its date column is left out."""
    path = project.folder / "data/source/cases.csv"
    pl.read_csv(path, infer_schema=False).rename(names).write_csv(path)

    def edit(params: dict[str, Any]) -> None:
        params["columns"] = {names.get(name, name): column for name, column in params["columns"].items()}
        limits = params["contract"]["columns"]
        params["contract"]["columns"] = {names.get(name, name): limit for name, limit in limits.items()}
        segments = params["evaluate"]["segments"]
        params["evaluate"]["segments"] = [names.get(name, name) for name in segments]
        if not dated:
            params["columns"]["opened"] = {"type": "date", "role": "ignore"}
            params["label"].pop("horizon")
            params.update(UNDATED)

    project.edit_params(edit)


@pytest.mark.parametrize("names", RENAMINGS.values(), ids=list(RENAMINGS))
def test_a_table_gives_the_same_model_by_whatever_names(small: Project, names: dict[str, str]) -> None:
    expected = read_metrics(small.folder / "metrics/evaluation.json")
    rename(small, names, dated=True)
    assert run_stages(small) == expected


@pytest.mark.parametrize("names", [{"outcome": "target"}, {"amount": "target", "visits": "fold"}])
def test_a_table_without_dates_gives_the_same_model_by_other_names(
    small: Project, tmp_path: Path, names: dict[str, str]
) -> None:
    plain = small.copy_to(tmp_path / "plain")
    rename(plain, {}, dated=False)
    rename(small, names, dated=False)
    assert run_stages(small) == run_stages(plain)
    back = {new: old for old, new in names.items()}
    features = [back.get(one.name, one.name) for one in load(small.folder / "models/model.skops").features]
    assert features == [one.name for one in load(plain.folder / "models/model.skops").features]


def test_a_table_with_a_feature_called_target_and_no_id_is_registered_and_challenges(
    delivery_project: DeliveryProject, tmp_path: Path
) -> None:
    from datetime import date

    from support.results import PARAMS, make_result, people

    names = {"income": "target", "age": "fold", "answer": "label"}
    table = pl.concat([people(1500, 5, 0, date(2016, 9, 1)), people(1500, 6, 5000, date(2018, 7, 1))])
    columns = {names.get(name, name): column for name, column in PARAMS["columns"].items() if name != "person"}
    for name, seed in (("first", 1), ("second", 2)):
        train = PARAMS["train"] | {"seed": seed, "logistic_regression": {"C": float(seed)}}
        make_result(tmp_path / "results" / name, table.drop("person").rename(names), columns=columns, train=train)
    project = DeliveryProject(delivery_project.root, tmp_path / "results")
    project.use_result("first")
    register(project.staging)
    assert challenge(project.staging).won
    [version] = history.versions(project.staging.rows).values()
    assert version.window["key"] == ["day", "target", "fold", "noise", "region", "(target)"]
    project.use_result("second")
    register(project.staging)
    # The same rows taught both.
    assert challenge(project.staging).won is False
