"""A result is tracked in MLflow once, completely, and only if it agrees with dvc.lock."""

import os
import shutil
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.core.files import read_json, read_parquet
from champion.core.metrics_file import read_metrics
from champion.model.model_file import load
from champion.report.plots import read_plots
from champion.repository.revision import working_tree
from champion.table.features import to_frame
from champion.tracking import runs as tracking
from champion.tracking.client import connected, experiment_id
from champion.tracking.result import Result, read_result
from champion.tracking.runs import track
from support.project import Project
from support.tracking import development, tracked_runs

# MLflow uses what SQLAlchemy and pandas are about to remove.
pytestmark = pytest.mark.filterwarnings("ignore")

MODEL = "models/model.skops"
JUDGED = "models/rehearsed.skops"


@pytest.fixture
def changed(tracked: Project, tmp_path: Path) -> Project:
    """A copy to change, without tracked runs."""
    project = tracked.copy_to(tmp_path / "project")
    shutil.rmtree(project.folder / "var")
    return project


@pytest.fixture
def empty(changed: Project, empty_mlflow: Path) -> Project:
    """The same, with an MLflow that has no runs."""
    file = changed.folder / "var/development/mlflow.db"
    file.parent.mkdir(parents=True)
    shutil.copy(empty_mlflow, file)
    return changed


def test_a_run_holds_what_the_pipeline_left(tracked: Project) -> None:
    (run,) = tracked_runs(development(tracked))
    read = read_metrics(tracked.folder / "metrics/evaluation.json")
    metrics = {name: pytest.approx(value) for name, value in read.items() if value is not None}
    assert metrics == {name: run.data.metrics[name] for name in metrics}
    training = read_metrics(tracked.folder / "metrics/training.json")["roc_auc"]
    assert run.data.metrics["training.roc_auc"] == pytest.approx(training)
    counted = read_json(tracked.folder / "data/prepared/parts.json")["parts"]
    rows = {part["part"].removeprefix("data/prepared/"): part["rows"] for part in counted}
    assert run.data.metrics["validation.at_split.labelled_rows"] == rows["at_split/labelled.parquet"]
    assert run.data.metrics["validation.test_rows"] == rows["test.parquet"] == run.data.metrics["rows"]
    assert run.data.params["train.hist_gradient_boosting.max_iter"] == "5"
    assert len(run.data.params) > 100, "more than MLflow takes in one request"
    assert run.data.params["dataset.calendar.as_of"] == run.data.params["as_of"]
    head = tracked.run("git", "rev-parse", "HEAD").stdout.strip()
    assert (run.data.tags["git.commit"], run.data.tags["git.clean"]) == (head, "true")
    lock = (tracked.folder / "dvc.lock").read_text()
    hashes = [value for name, value in run.data.tags.items() if name.startswith("dvc.")]
    assert len(hashes) > 15
    assert all(value in lock for value in hashes)
    assert {(one.dataset.name, one.tags[0].value) for one in run.inputs.dataset_inputs} == {
        ("data/prepared/at_split/labelled.parquet", "training"),
        ("data/prepared/at_as_of/labelled.parquet", "refit"),
        ("data/prepared/test.parquet", "evaluation"),
    }


def test_a_run_has_pictures_card_and_files(tracked: Project) -> None:
    environment = development(tracked)
    (run,) = tracked_runs(environment)
    with connected(environment) as client:
        names = {
            file.path for folder in ("", "plots", "metrics") for file in client.list_artifacts(run.info.run_id, folder)
        }
        picture = Path(client.download_artifacts(run.info.run_id, "plots/importance.svg")).read_text()
    plots = list(read_plots({"model": working_tree(tracked.folder)}))
    pictures = {f"plots/{plot.stem}.svg" for plot in plots}
    assert len(pictures) == 7
    assert pictures | {"dvc.lock", "params.yaml", "model_card.md", "metrics/segments.json"} <= names
    assert "amount" in picture
    assert picture in [plot.svg() for plot in plots], "the run has the pictures of the report"
    assert run.data.tags["mlflow.note.content"].startswith("#")


def test_mlflow_loads_the_model_back_and_predicts_without_a_pickle(tracked: Project) -> None:
    import mlflow

    environment = development(tracked)
    (run,) = tracked_runs(environment)
    model = load(tracked.folder / MODEL)
    rows = read_parquet(tracked.folder / "data/prepared/test.parquet").head(50)
    with connected(environment):
        uri = run.data.tags[tracking.MODEL_URI]
        loaded = mlflow.pyfunc.load_model(uri)
        files = [file for file in Path(mlflow.artifacts.download_artifacts(uri)).rglob("*") if file.is_file()]
        assert loaded.predict(to_frame(rows, model.features)).tolist() == model.predict(rows).tolist()
        assert loaded.metadata.get_input_schema().input_names() == [feature.name for feature in model.features]
        example = loaded.metadata.load_input_example(uri)
        assert len(loaded.predict(example)) == 5
    assert not [file.name for file in files if file.suffix in (".pkl", ".pickle", ".py", ".joblib")]
    (logged,) = [file for file in files if file.suffix == ".skops"]
    assert logged.read_bytes() == (tracked.folder / MODEL).read_bytes()


def test_mlflow_refuses_a_model_file_that_is_not_the_logged_one(empty: Project) -> None:
    import mlflow

    environment = development(empty)
    track(environment, read_result(empty.folder))
    (run,) = tracked_runs(environment)
    for file in (empty.folder / "var").rglob("model.skops"):
        file.write_bytes(file.read_bytes() + b"\n")
    with connected(environment), pytest.raises(UserError, match="its sha256 is"):
        mlflow.pyfunc.load_model(run.data.tags[tracking.MODEL_URI])


def test_a_result_is_one_run_also_when_it_was_restored(tracked: Project, tmp_path: Path) -> None:
    project = tracked.copy_to(tmp_path / "project")
    shutil.rmtree(project.folder / "data/prepared")
    for name in (MODEL, JUDGED, "data/raw.parquet", "models/rehearsed_scores.parquet"):
        (project.folder / name).unlink()
    parts = ("at_as_of", "at_split", "parts.json", "schema.json", "test.parquet")
    project.run("dvc", "checkout", MODEL, JUDGED, *(f"data/prepared/{name}" for name in parts))
    project.commit("Another commit, the same result")
    before = (project.folder / "dvc.lock").read_bytes()
    assert not track(development(project), read_result(project.folder)).new
    assert len(tracked_runs(development(project))) == 1
    assert (project.folder / "dvc.lock").read_bytes() == before


def test_what_an_interrupted_command_left_is_not_the_results_run(empty: Project) -> None:
    environment, result = development(empty), read_result(empty.folder)
    with connected(environment) as client:
        experiment = experiment_id(client, environment)
        left = client.create_run(experiment, tags={tracking.RESULT: result.identity})
        client.set_terminated(left.info.run_id, "FAILED")
    assert track(environment, result).new
    (run,) = tracked_runs(environment)
    assert run.info.run_id != left.info.run_id


def test_of_two_commands_that_track_at_once_one_run_stays(empty: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    log, logged = tracking._log, []

    def log_after_another(experiment: str, result: Result) -> str:
        logged.append(log(experiment, result))
        return log(experiment, result)

    monkeypatch.setattr(tracking, "_log", log_after_another)
    found = track(development(empty), read_result(empty.folder))
    assert (found.run_id, found.new) == (logged[0], False)
    assert [run.info.run_id for run in tracked_runs(development(empty))] == logged


def test_telemetry_is_off_and_the_address_of_one_environment_does_not_stay(
    tracked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with connected(development(tracked)):
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "MLFLOW_TRACKING_URI" not in os.environ


@pytest.mark.parametrize(
    "path",
    [MODEL, JUDGED, "data/prepared/test.parquet", "metrics/gates.json", "metrics/plots/roc.csv", "data/raw.parquet"],
)
def test_files_that_are_not_what_the_lock_says_are_not_tracked(changed: Project, path: str) -> None:
    read_result(changed.folder)
    with (changed.folder / path).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(UserError, match=r"it differs from dvc.lock"):
        read_result(changed.folder)


@pytest.mark.parametrize("path", [MODEL, JUDGED, "metrics/gates.json"])
def test_a_missing_file_is_not_tracked(changed: Project, path: str) -> None:
    (changed.folder / path).unlink()
    with pytest.raises(UserError, match=f"{path}: no such file"):
        read_result(changed.folder)


def test_params_that_the_result_was_not_made_with_are_not_tracked(changed: Project) -> None:
    changed.edit_params(lambda params: params["train"].update(seed=1))
    assert changed.champion("track", check=False).stderr == (
        "error: params.yaml: `train` changed since stage train ran. Run `dvc repro`, then run this again.\n"
    )
    assert not (changed.folder / "var/development/mlflow.db").exists()
