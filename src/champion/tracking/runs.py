"""What `dvc repro` left, in MLflow: one run for one result, whenever and wherever it was computed."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.core.errors import UserError
from champion.core.files import read_json, read_parquet, sha256_of
from champion.core.layout import (
    CARD,
    EVALUATION,
    GATES,
    METRICS,
    MODEL,
    PARAMS,
    PREPARED,
    SCHEMA,
    TEST,
    TRAINING,
    VALIDATION,
)
from champion.core.strict_yaml import read
from champion.core.values import finite, flattened
from champion.environments import Environment
from champion.params import Params
from champion.repository import git
from champion.repository.lock import dvc_md5, outs_of, read_stages, verify
from champion.repository.revision import working_tree
from champion.tracking.client import connected, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NEEDED = (MODEL, PREPARED, EVALUATION, TRAINING)

# Tags by which commands find a run again.
RESULT = "champion.result"
HELD_OUT = "champion.held_out_md5"
EXPERIMENT = "champion.experiment"
MODEL_SHA256 = "champion.model_sha256"
MODEL_URI = "champion.model_uri"

# MLflow's limits.
_NAME_LENGTH, _PARAM_LENGTH, _TAG_LENGTH, _BATCH = 250, 6000, 8000, 100
# A run that is still unfinished after this long was killed.
_ABANDONED = timedelta(minutes=10)
_FOREIGN = re.compile(r"[^\w.\- ]", flags=re.ASCII)


@dataclass(frozen=True)
class Tracked:
    """The run of a result, and whether it is new."""

    run_id: str
    name: str
    new: bool


@dataclass(frozen=True)
class Result:
    """What the pipeline left in a folder, all of it what dvc.lock says."""

    root: Path
    outs: Mapping[str, str]
    params: Mapping[str, Any]
    experiment: str | None = None
    commit: str | None = None

    @cached_property
    def identity(self) -> str:
        """SHA-256 of every output's hash and of the params: the same on any machine and in any commit."""
        content = json.dumps({"outs": dict(self.outs), "params": self.params}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def name(self) -> str:
        """What its run is called."""
        return self.experiment or f"result-{self.identity[:8]}"


def read_result(root: Path, experiment: str | None = None, commit: str | None = None) -> Result:
    """The result in the folder. Raises `UserError` naming the file or param that is not what dvc.lock says."""
    outs = outs_of(root)
    verify(root, outs, chain(NEEDED, (path for path in map(Path, outs) if _is_read(root, path))))
    params = read(Params, root / PARAMS).model_dump(mode="json")
    _verify_params(root)
    return Result(root, outs, params, experiment, commit)


def track(environment: Environment, result: Result) -> Tracked:
    """Log a result to MLflow, unless it was logged before."""
    with connected(environment) as client:
        experiment = experiment_id(client, environment)
        known = _finished(client, experiment, result)
        if known is None:
            run_id = _log(experiment, result)
            # Two commands may have logged the same result at once: the run that began first is the one.
            known = _finished(client, experiment, result)
            if known is None or known.info.run_id == run_id:
                return Tracked(run_id, result.name, new=True)
            client.delete_run(run_id)
        if result.experiment and EXPERIMENT not in known.data.tags:
            client.set_tag(known.info.run_id, EXPERIMENT, result.experiment)
        return Tracked(known.info.run_id, str(known.info.run_name), new=False)


def is_tracked(environment: Environment, experiment: str) -> bool:
    """Whether there is a run of the experiment of that name."""
    with connected(environment) as client:
        runs = runs_tagged(client, experiment_id(client, environment), EXPERIMENT, experiment)
        return any(run.info.status == "FINISHED" for run in runs)


def runs_tagged(client: "MlflowClient", experiment: str, tag: str, value: str) -> list["Run"]:
    """The runs whose tag has the value, oldest first."""
    return list(client.search_runs([experiment], f"tags.`{tag}` = '{value}'", order_by=["attributes.start_time ASC"]))


def mlflow_name(name: str) -> str:
    """The name as MLflow allows it; one that had to change, or is too long, ends with a hash, so that none collide."""
    safe = _FOREIGN.sub("_", name)[: _NAME_LENGTH - 9].strip()
    return safe if safe == name else f"{safe}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def metrics_of(evaluation: Mapping[str, Any], **others: Mapping[str, Any]) -> dict[str, float]:
    """Every finite number: the held-out metrics by their own names, others below theirs."""
    named = chain(flattened(evaluation), *(flattened(content, prefix) for prefix, content in others.items()))
    return {mlflow_name(name): value for name, content in named if (value := finite(content)) is not None}


def params_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Every param by its dotted name, as text; one beyond MLflow's limit is cut, and says so."""
    return {mlflow_name(name): _cut(_text(value), _PARAM_LENGTH) for name, value in flattened(params)}


def _log(experiment: str, result: Result) -> str:
    """Log a new run; its id. An interrupted one is not FINISHED, and so not the result's."""
    import mlflow

    from champion.model.model_file import load
    from champion.tracking import pyfunc as mlflow_model

    root = result.root
    sha256 = sha256_of(root / MODEL)
    model = load(root / MODEL, sha256)
    tags = dict(_tags(result)) | {MODEL_SHA256: sha256}
    with mlflow.start_run(experiment_id=experiment, run_name=result.name, tags=tags) as run:
        schema = read_json(root / SCHEMA)
        validation = {key: value for key, value in _optional(result, VALIDATION).items() if key != "findings"}
        metrics = metrics_of(read_json(root / EVALUATION), training=read_json(root / TRAINING), validation=validation)
        dataset = {key: value for key, value in schema.items() if key != "features"}
        log_values(run.info.run_id, metrics, params_of(result.params) | params_of({"dataset": dataset}))
        _log_datasets(run.info.run_id, root, schema)
        for path in map(Path, result.outs):
            if path.parts[0] == METRICS.name:
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


def log_values(run_id: str, metrics: Mapping[str, float], params: Mapping[str, str]) -> None:
    """Log metrics and params in as few requests as MLflow's limits allow."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client, now = MlflowClient(), int(datetime.now(UTC).timestamp() * 1000)
    left = iter([Param(name, value) for name, value in params.items()])
    while some := list(islice(left, _BATCH)):
        client.log_batch(run_id, params=some)
    client.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in metrics.items()])


def _log_datasets(run_id: str, root: Path, schema: Mapping[str, Any]) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for side, context in (("train", "training"), ("test", "evaluation")):
        path = PREPARED / f"{side}.parquet"
        profile, digest = json.dumps(schema.get(side, {})), dvc_md5(root / path)
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
        # MLflow's page shows this one.
        yield "mlflow.source.git.commit", commit
        yield "git.commit", commit
        yield "git.clean", _text(result.commit is not None or git.is_clean(root))
    for name, stage in read_stages(root).items():
        for kind in ("deps", "outs"):
            for file in stage.get(kind, []):
                if not file["path"].startswith("src/"):
                    yield mlflow_name(f"dvc.{name}.{kind}.{file['path']}"), str(file.get("md5"))
    verdicts = _optional(result, GATES).get("verdicts")
    if verdicts:
        yield "gates", "passed" if all(verdict["passed"] is True for verdict in verdicts.values()) else "failed"
    if str(CARD) in result.outs:
        yield "mlflow.note.content", _cut((root / CARD).read_text(encoding="utf-8"), _TAG_LENGTH)


def _finished(client: "MlflowClient", experiment: str, result: Result) -> "Run | None":
    """The run of the result, if there is one; what interrupted attempts left is removed."""
    finished = []
    for run in runs_tagged(client, experiment, RESULT, result.identity):
        age = datetime.now(UTC) - datetime.fromtimestamp(run.info.start_time / 1000, UTC)
        if run.info.status == "FINISHED":
            finished.append(run)
        elif run.info.status != "RUNNING" or age > _ABANDONED:
            client.delete_run(run.info.run_id)
    return finished[0] if finished else None


def _verify_params(root: Path) -> None:
    """Raises `UserError` when a stage was run with other params than those in the file."""
    from ruamel.yaml import YAML

    document = YAML(typ="safe").load((root / PARAMS).read_text(encoding="utf-8"))
    for stage, content in read_stages(root).items():
        for section, value in content.get("params", {}).get(str(PARAMS), {}).items():
            if document.get(section) != value:
                raise UserError(
                    f"{PARAMS}: `{section}` is not what stage {stage} was run with. Run `dvc repro`, then this again."
                )


def _is_read(root: Path, path: Path) -> bool:
    """Whether tracking needs the output: of the data only what is prepared, so a partial `dvc pull` will do."""
    return path.parts[0] != PREPARED.parts[0] or (root / path).exists()


def _pictures(root: Path) -> Iterable[tuple[str, str]]:
    from champion.report.curves import pictures
    from champion.report.html import svg

    return ((name, svg(plot)) for name, plot in pictures(working_tree(root)))


def _optional(result: Result, path: Path) -> dict[str, Any]:
    """A JSON file that the pipeline left, empty when it has none."""
    return read_json(result.root / path) if str(path) in result.outs else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _cut(text: str, length: int) -> str:
    note = f"… ({len(text)} characters, cut)"
    return text if len(text) <= length else text[: length - len(note)] + note
