"""The aliases and versions of MLflow's registry follow the ledger, and no delivery waits for them."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from champion.core.files import read_parquet
from champion.delivery import deployment
from champion.delivery.audit import accept_breaks, differences
from champion.delivery.register import register
from champion.delivery.retire import retire
from champion.registry import history
from champion.table.features import to_frame
from champion.tracking import background_sync, registry_sync
from champion.tracking.client import connected
from champion.tracking.result import read_result
from champion.tracking.runs import track
from support.delivery import DeliveryProject
from support.tracking import aliases, tracked_runs

# MLflow uses what SQLAlchemy and pandas are about to remove.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def mirrored(
    delivery_project: DeliveryProject, tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> DeliveryProject:
    """Version v1 in the registry and in MLflow on SQLite."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    register(delivery_project.staging)
    assert not (tmp_path / "mlflow.db").exists()
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    assert registry_sync.apply(delivery_project.staging) == ["v1 registered", "challenger is v1"]
    return delivery_project


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
    """The lines that a command prints to stderr; the last line has the slow packages that it imported."""
    code = COMMAND.format(before=before, arguments=list(arguments))
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=delivery_project.root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stderr.splitlines()


@pytest.mark.sweep
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
    registry_sync.apply(mirrored.staging)
    assert aliases(mirrored) == {"challenger": "v2", "staging": "v2"}
    assert in_a_process(mirrored, "rollback", "--env", "staging") == [""]
    assert differences(mirrored.staging) == []
    assert aliases(mirrored) == {"challenger": "v2", "staging": "v1"}
    with connected(mirrored.staging):
        model = mlflow.pyfunc.load_model("models:/champion@challenger")
    rows = read_parquet(mirrored.root / "data/prepared/test.parquet").head(20)
    ours = mirrored.staging.load_model("challenger")
    assert model.predict(to_frame(rows, ours.features)).tolist() == ours.predict(rows).tolist()


def test_a_retired_version_loses_its_alias(mirrored: DeliveryProject) -> None:
    assert aliases(mirrored) == {"challenger": "v1"}
    retire(mirrored.staging, "v1", "it was trained on wrong labels")
    assert differences(mirrored.staging) == []
    assert aliases(mirrored) == {}


@pytest.mark.sweep
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
        "MLflow's alias challenger is on its version 2, which the ledger does not know, but the ledger says v1: "
        f"{repair}",
        f"MLflow's alias production is on v1, but the ledger says nothing: {repair}",
        f"MLflow's alias staging is on nothing, but the ledger says v1: {repair}",
    ]
    assert sorted(registry_sync.apply(mirrored.staging)) == [
        "challenger is v1",
        "production is nothing",
        "staging is v1",
    ]
    assert differences(mirrored.staging) == []
    assert registry_sync.apply(mirrored.staging) == []
    with connected(mirrored.staging) as client:
        assert str(client.get_registered_model("champion").aliases["somebodys"]) == "1"
        client.delete_model_version("champion", "1")
    assert f"MLflow's registry lacks v1, sha256 {registered(mirrored).model_sha256}: {repair}" in differences(
        mirrored.staging
    )
    assert registry_sync.apply(mirrored.staging)[0] == "v1 registered"
    assert differences(mirrored.staging) == []


def test_a_sync_holds_its_lock_from_before_the_command_returns_to_its_end(mirrored: DeliveryProject) -> None:
    environment = mirrored.staging.environment
    folder = mirrored.root / "var/staging"
    deployment.deploy(mirrored.staging, "v1")
    (lock,) = folder.glob("mirror-*.lock")
    with pytest.raises(Timeout):
        FileLock(lock).acquire(blocking=False)
    # Of a process that was killed.
    (folder / "mirror-killed.lock").touch()
    background_sync.wait(environment)
    assert list(folder.glob("mirror-*.lock")) == []
    assert aliases(mirrored)["staging"] == "v1"


@pytest.mark.sweep
def test_mlflow_knows_of_rows_that_the_ledger_lost_until_a_break_is_accepted(
    mirrored: DeliveryProject, tmp_path: Path
) -> None:
    registry_sync.apply(mirrored.staging)
    rows = mirrored.staging.rows
    with connected(mirrored.staging.environment) as client:
        tags = client.get_registered_model("champion").tags
        assert tags[registry_sync.HEAD] == f"{rows[-1].sequence} {rows[-1].hash}"
        client.set_registered_model_tag("champion", registry_sync.HEAD, f"7 {'a' * 64}")
    sentence = "MLflow knows of ledger row 7 (aaaaaaaaaaaa), which the ledger has not got: rows were removed"
    registry_sync.apply(mirrored.staging)
    assert differences(mirrored.staging) == [sentence]
    assert accept_breaks(mirrored.staging, "restored by hand").details["breaks"] == [sentence]
    background_sync.wait(mirrored.staging.environment)
    assert differences(mirrored.staging) == []


def registered(delivery_project: DeliveryProject) -> Any:
    return history.versions(delivery_project.staging.rows)["v1"]


def test_a_version_that_was_tracked_points_to_its_run(
    delivery_project: DeliveryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    run = track(delivery_project.staging.environment, read_result(delivery_project.root))
    register(delivery_project.staging)
    assert differences(delivery_project.staging) == []
    with connected(delivery_project.staging.environment) as client:
        assert client.get_model_version_by_alias("champion", "challenger").run_id == run.run_id
    (tracked,) = tracked_runs(delivery_project.staging.environment)
    assert tracked.data.metrics["roc_auc"] == registered(delivery_project).metrics["roc_auc"]


def test_without_mlflow_a_deployment_goes_on_with_one_line(mirrored: DeliveryProject) -> None:
    without = "sys.modules['mlflow'] = None"
    told = in_a_process(mirrored, "deploy", "v1", "--env", "staging", before=without)
    assert told == [
        f"warning: MLflow is not installed here, so its aliases are now out of date: {background_sync.REPAIR}.",
        "",
    ]
    assert differences(mirrored.staging) == [
        "MLflow's alias staging is on nothing, but the ledger says v1: `champion mirror` repairs it."
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
