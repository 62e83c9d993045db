"""Results are tracked once each, sweeps leave the user's files alone, and MLflow's aliases follow the ledger."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from champion.core.errors import UserError
from champion.core.files import read_json, read_parquet
from champion.delivery import audit, deployment
from champion.delivery.register import register
from champion.environments import Environment, load_environment
from champion.experiments.leaderboard import best
from champion.model.model_file import load
from champion.registry import history
from champion.registry.registry import Registry
from champion.table.dataset import to_frame
from champion.tracking import background_sync as mirror_later
from champion.tracking import registry_sync as mirror
from champion.tracking import runs as tracking
from champion.tracking.client import connected, experiment_id
from champion.tracking.result import Result, read_result
from champion.tracking.ui import serve
from champion.tracking.values import log_values
from support.delivery import DeliveryProject
from support.project import Project

if TYPE_CHECKING:
    from mlflow.entities import Run

# MLflow uses what SQLAlchemy and pandas are about to remove.
pytestmark = pytest.mark.filterwarnings("ignore")

MODEL = "models/model.skops"
COPY = "var/development/mlflow.db"


def runs(environment: Environment) -> "list[Run]":
    with connected(environment) as client:
        return list(client.search_runs([experiment_id(client, environment)], order_by=["attributes.start_time ASC"]))


def development(project: Project) -> Environment:
    return load_environment("development", project.folder)


@pytest.fixture(scope="module")
def tracked(small_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small table's result, tracked by the command. Read only."""
    project = small_run.copy_to(tmp_path_factory.mktemp("tracked") / "project")
    assert ": tracked, run " in project.run("champion", "track").stdout
    return project


@pytest.fixture
def changed(tracked: Project, tmp_path: Path) -> Project:
    """A copy of it, to change; what is tracked there is gone."""
    project = tracked.copy_to(tmp_path / "project")
    shutil.rmtree(project.folder / "var")
    return project


# Tracking


def test_a_run_holds_what_the_pipeline_left(tracked: Project) -> None:
    (run,) = runs(development(tracked))
    metrics = read_json(tracked.folder / "metrics/evaluation.json")
    assert {name: run.data.metrics[name] for name in metrics if name != "threshold"} == {
        name: pytest.approx(value) for name, value in metrics.items() if name != "threshold"
    }
    training = read_json(tracked.folder / "metrics/training.json")["cross_validation"]["roc_auc"]["mean"]
    assert run.data.metrics["training.cross_validation.roc_auc.mean"] == pytest.approx(training)
    assert run.data.metrics["validation.rows.train"] == run.data.metrics["training.rows"]
    assert run.data.params["train.hist_gradient_boosting.max_iter"] == "5"
    assert len(run.data.params) > 100, "more than MLflow takes in one request"
    schema = read_json(tracked.folder / "data/prepared/schema.json")
    assert run.data.params["dataset.train.first"] == schema["train"]["first"]
    assert run.data.params["dataset.test.rows"] == str(schema["test"]["rows"])
    head = tracked.run("git", "rev-parse", "HEAD").stdout.strip()
    assert (run.data.tags["git.commit"], run.data.tags["git.clean"]) == (head, "true")
    lock = (tracked.folder / "dvc.lock").read_text()
    hashes = [value for name, value in run.data.tags.items() if name.startswith("dvc.")]
    assert len(hashes) > 15
    assert all(value in lock for value in hashes)
    assert {(one.dataset.name, one.tags[0].value) for one in run.inputs.dataset_inputs} == {
        ("data/prepared/train.parquet", "training"),
        ("data/prepared/test.parquet", "evaluation"),
    }


def test_a_run_has_pictures_card_and_files(tracked: Project) -> None:
    environment = development(tracked)
    (run,) = runs(environment)
    with connected(environment) as client:
        names = {
            file.path for folder in ("", "plots", "metrics") for file in client.list_artifacts(run.info.run_id, folder)
        }
        picture = Path(client.download_artifacts(run.info.run_id, "plots/importance.svg")).read_text()
    pictures = {f"plots/{name}.svg" for name in ("roc", "precision_recall", "calibration", "importance")}
    assert pictures | {"dvc.lock", "params.yaml", "metrics/model_card.md", "metrics/segments.json"} <= names
    assert "amount" in picture
    assert run.data.tags["mlflow.note.content"].startswith("#")


def test_mlflow_loads_the_model_back_and_predicts_without_a_pickle(tracked: Project) -> None:
    import mlflow

    environment = development(tracked)
    (run,) = runs(environment)
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


def test_mlflow_refuses_a_model_file_that_is_not_the_logged_one(changed: Project) -> None:
    import mlflow

    environment = development(changed)
    tracking.track(environment, read_result(changed.folder))
    (run,) = runs(environment)
    for file in (changed.folder / "var").rglob("model.skops"):
        file.write_bytes(file.read_bytes() + b"\n")
    with connected(environment), pytest.raises(UserError, match="its sha256 is"):
        mlflow.pyfunc.load_model(run.data.tags[tracking.MODEL_URI])


def test_a_result_is_one_run_also_when_it_was_restored(tracked: Project, tmp_path: Path) -> None:
    project = tracked.copy_to(tmp_path / "project")
    shutil.rmtree(project.folder / "data/prepared")
    for name in (MODEL, "data/raw.parquet"):
        (project.folder / name).unlink()
    project.run("dvc", "checkout", MODEL, "data/prepared")
    project.commit("Another commit, the same result")
    before = (project.folder / "dvc.lock").read_bytes()
    assert not tracking.track(development(project), read_result(project.folder)).new
    assert len(runs(development(project))) == 1
    assert (project.folder / "dvc.lock").read_bytes() == before


def test_what_an_interrupted_command_left_is_not_the_results_run(changed: Project) -> None:
    environment, result = development(changed), read_result(changed.folder)
    with connected(environment) as client:
        experiment = experiment_id(client, environment)
        left = client.create_run(experiment, tags={tracking.RESULT: result.identity})
        client.set_terminated(left.info.run_id, "FAILED")
    assert tracking.track(environment, result).new
    (run,) = runs(environment)
    assert run.info.run_id != left.info.run_id


def test_of_two_commands_that_track_at_once_one_run_stays(changed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    log, logged = tracking._log, []

    def log_after_another(experiment: str, result: Result) -> str:
        logged.append(log(experiment, result))
        return log(experiment, result)

    monkeypatch.setattr(tracking, "_log", log_after_another)
    found = tracking.track(development(changed), read_result(changed.folder))
    assert (found.run_id, found.new) == (logged[0], False)
    assert [run.info.run_id for run in runs(development(changed))] == logged


def test_telemetry_is_off_and_the_address_of_one_environment_does_not_stay(
    tracked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with connected(development(tracked)):
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "MLFLOW_TRACKING_URI" not in os.environ


@pytest.mark.parametrize(
    "path", [MODEL, "data/prepared/test.parquet", "metrics/gates.json", "metrics/plots/roc.csv", "data/raw.parquet"]
)
def test_files_that_are_not_what_the_lock_says_are_not_tracked(changed: Project, path: str) -> None:
    read_result(changed.folder)
    with (changed.folder / path).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(UserError, match=r"not what dvc.lock says the pipeline made"):
        read_result(changed.folder)


@pytest.mark.parametrize("path", [MODEL, "metrics/gates.json"])
def test_a_missing_file_is_not_tracked(changed: Project, path: str) -> None:
    (changed.folder / path).unlink()
    with pytest.raises(UserError, match=f"{path}: not what dvc.lock says"):
        read_result(changed.folder)


def test_params_that_the_result_was_not_made_with_are_not_tracked(changed: Project) -> None:
    changed.edit_params(lambda params: params["train"].update(seed=1))
    assert changed.run("champion", "track", check=False).stderr == (
        "error: params.yaml: `train` is not what stage train was run with. Run `dvc repro`, then this again.\n"
    )
    assert not (changed.folder / COPY).exists()


# Sweeps


def state(project: Project) -> dict[str, bytes | str]:
    """Every file of the user's, and what git says of them."""
    listed = project.run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
    files = [*listed, MODEL, "data/raw.parquet", "data/prepared/test.parquet"]
    git = {command: project.run("git", *command.split()).stdout for command in ("status --porcelain", "stash list")}
    return {name: (project.folder / name).read_bytes() for name in files} | git


def interrupt_after_first_line(project: Project, *command: str) -> tuple[int, str, str]:
    """Exit status and output of a command that gets Ctrl-C once it has told of its first set."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": programs, "PYTHONPATH": str(project.folder / "src"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=project.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        return process.wait(), first + process.stdout.read(), process.stderr.read()


def test_a_sweep_leaves_the_files_alone_resumes_and_is_ranked(tracked: Project, tmp_path: Path) -> None:
    project = tracked.copy_to(tmp_path / "project")
    with (project.folder / "README.md").open("a") as readme:
        readme.write("A change that nobody committed.\n")
    before = state(project)
    # The second set fails when it trains: only scikit-learn knows that there is no such parameter.
    sweep = ("champion", "experiments", "run", "-S", "train.max_leaf_nodes=4", "-S", "train.max_dept=3")

    status, told, error = interrupt_after_first_line(project, *sweep)
    assert (status, error) == (1, "error: interrupted after 1 of 2 sets. The same command goes on from there.\n")
    assert state(project) == before

    again = project.run(*sweep, check=False)
    assert again.returncode == 1
    first, second = again.stdout.splitlines()
    assert first == f"{told.strip()} (run before)"
    assert "has no such parameter (did you mean `max_depth`?)" in second
    assert again.stderr == "error: 1 of 2 sets failed. The same command tries them again.\n"
    assert state(project) == before
    assert len(runs(development(project))) == 2

    name = first.split()[1]
    ranking = project.run("champion", "experiments", "compare", "--metric", "log_loss").stdout
    assert "max_leaf_nodes=4" in ranking
    assert "train.hist_gradient_boosting.max_iter: 5" in ranking
    assert "take it over: `" in ranking

    project.run("git", "checkout", "--", "README.md")
    project.run("dvc", "exp", "apply", name)
    assert "max_leaf_nodes: 4" in (project.folder / "params.yaml").read_text()
    taken = tracking.track(development(project), read_result(project.folder))
    assert (taken.name, taken.new) == (name, False)


def fake_run(environment: Environment, name: str, values: dict[str, float], held_out: str = "rows") -> None:
    with connected(environment) as client:
        tags = {tracking.RESULT: name, tracking.HELD_OUT: held_out}
        run = client.create_run(experiment_id(client, environment), tags=tags, run_name=name)
        log_values(run.info.run_id, values, {"train.seed": name})
        client.set_terminated(run.info.run_id)


def test_the_best_run_is_best_in_its_metrics_own_direction(
    tmp_path: Path, delivery_project: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(UserError, match="nothing was tracked yet"):
        best(delivery_project.staging.environment, "roc_auc", 5)
    fake_run(delivery_project.staging.environment, "other data", {"roc_auc": 0.99, "brier": 0.01}, held_out="others")
    fake_run(delivery_project.staging.environment, "a", {"roc_auc": 0.7, "brier": 0.2})
    fake_run(delivery_project.staging.environment, "b", {"roc_auc": 0.8, "brier": 0.3})
    fake_run(delivery_project.staging.environment, "c", {"roc_auc": 0.6, "brier": 0.1})

    def ranked(metric: str, top: int = 5) -> list[str]:
        return [entry.name for entry in best(delivery_project.staging.environment, metric, top).entries]

    assert ranked("roc_auc") == ["b", "a", "c"]
    assert ranked("brier") == ["c", "a", "b"]
    assert ranked("brier", top=2) == ["c", "a"]
    assert best(delivery_project.staging.environment, "roc_auc", 1).others
    with pytest.raises(UserError, match="no run has the metric 'f1_weighted'"):
        ranked("f1_weighted")
    with pytest.raises(UserError, match="not known whether more of 'threshold' is better"):
        ranked("threshold")


# Aliases


@pytest.fixture
def mirrored(delivery_project: DeliveryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeliveryProject:
    """Version v1 registered, with MLflow on SQLite that holds it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    register(delivery_project.staging)
    assert not (tmp_path / "mlflow.db").exists()
    assert mirror.apply(delivery_project.staging) == ["v1 registered", "challenger is v1"]
    return delivery_project


def differences(registry: Registry) -> list[str]:
    return audit.differences(registry)


def aliases(delivery_project: DeliveryProject) -> dict[str, str]:
    """The ledger's name of the version that each of MLflow's aliases is on."""
    with connected(delivery_project.staging.environment) as client:
        found = client.get_registered_model("champion").aliases
        return {name: client.get_model_version("champion", at).tags[mirror.VERSION] for name, at in found.items()}


COMMAND = """
import sys
{before}
from champion.cli.main import app
try:
    app({arguments!r})
except SystemExit as stop:
    assert not stop.code, stop.code
print(*sorted({{"mlflow", "sklearn"}} & {{name for name, module in sys.modules.items() if module}}), file=sys.stderr)
"""


def in_a_process(delivery_project: DeliveryProject, *arguments: str, before: str = "") -> list[str]:
    """What a command prints to stderr, and as the last line which of the slow packages it imported."""
    code = COMMAND.format(before=before, arguments=list(arguments))
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=delivery_project.root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stderr.splitlines()


def test_aliases_follow_a_rollback_that_does_not_wait_for_mlflow(
    delivery_project: DeliveryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for number, result in enumerate(("weak", "strong"), start=1):
        delivery_project.use_result(result)
        register(delivery_project.staging)
        deployment.deploy(delivery_project.staging, f"v{number}")
    mirrored = delivery_project
    mirror.apply(mirrored.staging)
    assert aliases(mirrored) == {"challenger": "v2", "staging": "v2"}
    assert in_a_process(mirrored, "rollback", "--env", "staging") == [""]
    assert differences(mirrored.staging) == []
    assert aliases(mirrored) == {"challenger": "v2", "staging": "v1"}
    with connected(mirrored.staging):
        model = mlflow.pyfunc.load_model("models:/champion@challenger")
    rows = read_parquet(mirrored.root / "data/prepared/test.parquet").head(20)
    ours = mirrored.staging.load_model("challenger")
    assert model.predict(to_frame(rows, ours.features)).tolist() == ours.predict(rows).tolist()


def test_audit_finds_every_alias_that_differs_and_mirror_repairs_them(mirrored: DeliveryProject) -> None:
    deployment.deploy(mirrored.staging, "v1")
    assert differences(mirrored.staging) == []
    with connected(mirrored.staging) as client:
        client.delete_registered_model_alias("champion", "staging")
        client.set_registered_model_alias("champion", "production", "1")
        client.set_registered_model_alias("champion", "somebodys", "1")
        ours = client.get_model_version("champion", "1")
        foreign = client.create_model_version("champion", ours.source, ours.run_id, model_id=ours.model_id)
        client.set_registered_model_alias("champion", "challenger", foreign.version)
    repair = "`champion mirror` repairs it."
    assert differences(mirrored.staging) == [
        f"MLflow's alias challenger is on its version 2, which the ledger does not know, the ledger says v1: {repair}",
        f"MLflow's alias production is on v1, the ledger says nothing: {repair}",
        f"MLflow's alias staging is on nothing, the ledger says v1: {repair}",
    ]
    assert sorted(mirror.apply(mirrored.staging)) == ["challenger is v1", "production is nothing", "staging is v1"]
    assert differences(mirrored.staging) == []
    assert mirror.apply(mirrored.staging) == []
    with connected(mirrored.staging) as client:
        assert str(client.get_registered_model("champion").aliases["somebodys"]) == "1"
        client.delete_model_version("champion", "1")
    assert f"MLflow's registry lacks v1, sha256 {registered(mirrored).model_sha256}: {repair}" in differences(
        mirrored.staging
    )
    assert mirror.apply(mirrored.staging)[0] == "v1 registered"
    assert differences(mirrored.staging) == []


def registered(delivery_project: DeliveryProject) -> Any:
    return history.versions(delivery_project.staging.rows)["v1"]


def test_a_version_that_was_tracked_points_to_its_run(
    delivery_project: DeliveryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    run = tracking.track(delivery_project.staging.environment, read_result(delivery_project.root))
    register(delivery_project.staging)
    assert differences(delivery_project.staging) == []
    with connected(delivery_project.staging.environment) as client:
        assert client.get_model_version_by_alias("champion", "challenger").run_id == run.run_id
    assert len(runs(delivery_project.staging.environment)) == 1


def test_without_mlflow_a_deployment_goes_on_with_one_line(mirrored: DeliveryProject) -> None:
    without = "sys.modules['mlflow'] = None"
    told = in_a_process(mirrored, "deploy", "v1", "--env", "staging", before=without)
    assert told == [
        f"warning: MLflow is not installed here, so its aliases do not follow: {mirror_later.REPAIR}.",
        "",
    ]
    assert differences(mirrored.staging) == [
        "MLflow's alias staging is on nothing, the ledger says v1: `champion mirror` repairs it."
    ]


@pytest.mark.parametrize("configured", [False, True])
def test_where_nothing_was_tracked_nothing_follows(
    delivery_project: DeliveryProject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    configured: bool,
) -> None:
    if configured:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    register(delivery_project.staging)
    deployment.deploy(delivery_project.staging, "v1")
    assert differences(delivery_project.staging) == []
    assert capsys.readouterr().err == ""
    assert not (delivery_project.root / "var").exists()
    assert not (tmp_path / "mlflow.db").exists()


# Servers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(url: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
                assert answer.status == 200
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, "the server ended"
            time.sleep(0.2)
    pytest.fail(f"{url} does not answer")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a real MLflow server, and what stops it."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        str(tmp_path / "a"),
    ]
    env = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = (tmp_path / "server.log").open("w")
    with log, subprocess.Popen(command, env=env, stdout=log, stderr=log, text=True, start_new_session=True) as process:

        def stop() -> None:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)

        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}", stop
        finally:
            stop()


def test_a_server_is_tracked_to_and_mirrored_and_may_be_down(
    server: tuple[str, Callable[[], None]],
    delivery_project: DeliveryProject,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import mlflow

    address, stop = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    result = read_result(delivery_project.root)
    assert tracking.track(delivery_project.staging.environment, result).new
    assert not tracking.track(delivery_project.staging.environment, result).new
    register(delivery_project.staging)
    deployment.promote(delivery_project.production, "v1", emergency=True, reason="the first")
    assert differences(delivery_project.staging) == []
    assert aliases(delivery_project) == {"champion": "v1", "production": "v1"}
    with connected(delivery_project.staging.environment):
        model = mlflow.pyfunc.load_model("models:/champion@production")
    rows = read_parquet(delivery_project.root / "data/prepared/test.parquet").head(20)
    ours = delivery_project.staging.load_model("production")
    assert model.predict(to_frame(rows, ours.features)).tolist() == ours.predict(rows).tolist()

    stop()
    capsys.readouterr()
    assert deployment.deploy(delivery_project.staging, "v1").changed
    assert capsys.readouterr().err == (
        f"warning: MLflow cannot be reached, so its aliases do not follow: {mirror_later.REPAIR}.\n"
    )
    (difference,) = differences(delivery_project.staging)
    assert difference.startswith("the ledger cannot be held against MLflow: MLflow of staging cannot be used")
    with pytest.raises(UserError, match="the address is not shown") as told:
        tracking.track(delivery_project.staging.environment, result)
    assert address not in str(told.value)


def test_the_page_opens_on_this_machine_only_and_ctrl_c_ends_it(tracked: Project) -> None:
    port = free_port()
    env = os.environ | {"PYTHONPATH": str(tracked.folder / "src")}
    command = [sys.executable, "-m", "champion", "ui", "--port", str(port)]
    with subprocess.Popen(
        command,
        cwd=tracked.folder,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    ) as process:
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/", process)
            with socket.socket() as probe:
                # Another address of this machine, where a server that listens on all of them would answer.
                assert probe.connect_ex(("127.0.0.2", port)) != 0
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_taken_port_and_a_server_are_told(tracked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is taken"):
            serve(development(tracked), port, print)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="tracks to a server"):
        serve(development(tracked), port, print)
