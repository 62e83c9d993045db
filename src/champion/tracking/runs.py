"""The outputs of `dvc repro` in MLflow: one run per result, no matter when and where it was computed."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from champion.core.files import read_json, read_parquet, sha256_of
from champion.core.layout import (
    AT_AS_OF,
    AT_SPLIT,
    CARD,
    EVALUATION,
    GATES,
    LABELLED,
    METRICS,
    MODEL,
    PARAMS,
    PARTS,
    SCHEMA,
    TEST,
    TRAINING,
)
from champion.core.metrics_file import read_metrics
from champion.environments import Environment
from champion.repository import git
from champion.repository.lock import dvc_md5, read_stages
from champion.repository.revision import working_tree
from champion.tracking.client import connected, experiment_id
from champion.tracking.result import Result
from champion.tracking.values import as_text, cut, finite_metrics, mlflow_name, params_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Commands find a run by these tags.
RESULT = "champion.result"
HELD_OUT = "champion.held_out_md5"
EXPERIMENT = "champion.experiment"
MODEL_SHA256 = "champion.model_sha256"
MODEL_URI = "champion.model_uri"

# MLflow's limit of a tag.
_TAG_LENGTH = 8000
# After this time, an unfinished run counts as killed.
_ABANDONED = timedelta(minutes=10)


@dataclass(frozen=True)
class Tracked:
    """The run of a result, and whether it is new."""

    run_id: str
    name: str
    new: bool


def track(environment: Environment, result: Result) -> Tracked:
    """Log a result to MLflow, unless it was logged before."""
    with connected(environment) as client:
        experiment = experiment_id(client, environment)
        known = _finished(client, experiment, result)
        if known is None:
            run_id = _log(experiment, result)
            # Two commands may have logged the same result at once. Keep the run that started first.
            known = _finished(client, experiment, result)
            if known is None or known.info.run_id == run_id:
                return Tracked(run_id, result.name, new=True)
            client.delete_run(run_id)
        if result.experiment and EXPERIMENT not in known.data.tags:
            client.set_tag(known.info.run_id, EXPERIMENT, result.experiment)
        return Tracked(known.info.run_id, str(known.info.run_name), new=False)


def is_tracked(environment: Environment, experiment: str) -> bool:
    """Whether there is a finished run of the experiment with that name."""
    with connected(environment) as client:
        runs = runs_tagged(client, experiment_id(client, environment), EXPERIMENT, experiment)
        return any(run.info.status == "FINISHED" for run in runs)


def runs_tagged(client: "MlflowClient", experiment: str, tag: str, value: str) -> list["Run"]:
    """The runs whose tag has the value, oldest first."""
    return list(client.search_runs([experiment], f"tags.`{tag}` = '{value}'", order_by=["attributes.start_time ASC"]))


def _log(experiment: str, result: Result) -> str:
    """Log a new run and return its id. An interrupted run is not FINISHED, so it does not count.

    The metrics are those of the judged model, the model is the one to serve.
    """
    import mlflow

    from champion.model.model_file import load
    from champion.tracking import pyfunc as mlflow_model

    root = result.root
    sha256 = sha256_of(root / MODEL)
    model = load(root / MODEL, sha256)
    tags = dict(_tags(result)) | {MODEL_SHA256: sha256}
    with mlflow.start_run(experiment_id=experiment, run_name=result.name, tags=tags) as run:
        schema = read_json(root / SCHEMA)
        tables = {f"{name.replace('/', '.')}_rows": count for name, count in working_tree(root).rows.items()}
        metrics = finite_metrics(
            read_metrics(root / EVALUATION), training=read_metrics(root / TRAINING), validation=tables
        )
        dataset = {key: value for key, value in schema.items() if key != "features"}
        mlflow.log_metrics(metrics)
        mlflow.log_params(params_of(result.params) | params_of({"dataset": dataset}))
        _log_datasets(run.info.run_id, root)
        for path in map(Path, result.outs):
            if path == CARD:
                mlflow.log_artifact(str(root / path))
            elif path.parts[0] == METRICS.name:
                where = str(path.parent) if (root / path).is_file() else str(path)
                (mlflow.log_artifact if (root / path).is_file() else mlflow.log_artifacts)(str(root / path), where)
        for name in ("dvc.lock", "dvc.yaml", str(PARAMS)):
            if (root / name).is_file():
                mlflow.log_artifact(str(root / name))
        for name, picture in _pictures(root):
            mlflow.log_text(picture, f"plots/{name}.svg")
        rows = read_parquet(root / TEST)
        mlflow.set_tag(MODEL_URI, mlflow_model.log(model, root / MODEL, sha256, rows))
        return str(run.info.run_id)


def _log_datasets(run_id: str, root: Path) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag

    counted = {part["part"]: part for part in read_json(root / PARTS)["parts"]}
    inputs = []
    for path, context in ((AT_SPLIT / LABELLED, "training"), (AT_AS_OF / LABELLED, "refit"), (TEST, "evaluation")):
        profile, digest = json.dumps(counted.get(str(path), {})), dvc_md5(root / path)
        dataset = Dataset(str(path), str(digest), "local", json.dumps({"uri": str(path)}), profile=profile)
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    MlflowClient().log_inputs(run_id, datasets=inputs)


def _tags(result: Result) -> Iterator[tuple[str, str]]:
    root = result.root
    yield RESULT, result.identity
    yield HELD_OUT, str(dvc_md5(root / TEST))
    if result.experiment:
        yield EXPERIMENT, result.experiment
    commit = result.commit or git.head_commit(root)
    if commit:
        # MLflow's page shows this tag.
        yield "mlflow.source.git.commit", commit
        yield "git.commit", commit
        yield "git.clean", as_text(result.commit is not None or git.is_clean(root))
    for name, stage in read_stages(root).items():
        for kind in ("deps", "outs"):
            for file in stage.get(kind, []):
                if not file["path"].startswith("src/"):
                    yield mlflow_name(f"dvc.{name}.{kind}.{file['path']}"), str(file.get("md5"))
    verdicts = result.read_optional(GATES).get("verdicts")
    if verdicts:
        yield "gates", "passed" if all(verdict["passed"] is True for verdict in verdicts) else "failed"
    if str(CARD) in result.outs:
        yield "mlflow.note.content", cut((root / CARD).read_text(encoding="utf-8"), _TAG_LENGTH)


def _finished(client: "MlflowClient", experiment: str, result: Result) -> "Run | None":
    """The finished run of the result, if there is one. Removes the runs of interrupted attempts."""
    finished = []
    for run in runs_tagged(client, experiment, RESULT, result.identity):
        age = datetime.now(UTC) - datetime.fromtimestamp(run.info.start_time / 1000, UTC)
        if run.info.status == "FINISHED":
            finished.append(run)
        elif run.info.status != "RUNNING" or age > _ABANDONED:
            client.delete_run(run.info.run_id)
    return finished[0] if finished else None


def _pictures(root: Path) -> Iterable[tuple[str, str]]:
    from champion.report.plots import read_plots

    return ((plot.stem, plot.svg()) for plot in read_plots({"model": working_tree(root)}))
