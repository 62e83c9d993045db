"""A smoke test asks a model in a process of its own: one that crashes, raises or never ends is a failed test."""

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.core.files import read_parquet
from champion.core.layout import AT_SPLIT, LABELLED, SCHEMA
from champion.delivery import deployment, proof
from champion.delivery.register import register
from champion.model.fitting import fit_pipeline
from champion.model.manifest import Manifest
from champion.model.model import Model
from champion.model.model_file import load, save
from champion.model.recipe import Recipe
from champion.registry.chain import Row
from champion.registry.served import read_pointer
from champion.table.dataset import Dataset, Schema
from support.delivery import DeliveryProject
from support.project import Project


def never_ending(folder: Path, path: Path) -> bytes:
    """A sound model of one tree, which its file names so often that an answer takes minutes."""
    recipe = Recipe(estimator="hist_gradient_boosting", hist_gradient_boosting={"max_iter": 1})
    rows, schema = read_parquet(folder / AT_SPLIT / LABELLED), Schema.read(folder / SCHEMA)
    save(Model(fit_pipeline(recipe, Dataset(rows, schema)), Manifest(schema.features, base_rate=0.5, cut=0.5)), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    archived = json.loads(members["schema.json"])
    pipeline = archived["content"]["content"]["steps"]["content"]
    trees = pipeline[1]["content"][1]["content"]["content"]["_predictors"]["content"]
    trees += [{"__id__": trees[0]["__id__"]}] * 400_000
    members["schema.json"] = json.dumps(archived).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path.read_bytes()


def raising(path: Path) -> bytes:
    """A model whose coefficients are one short."""
    model = load(path)
    regression = model.pipeline.named_steps["model"]
    regression.coef_ = regression.coef_[:, 1:]
    save(model, path)
    return path.read_bytes()


def staged_by_force(delivery_project: DeliveryProject, content: bytes) -> str:
    """Serve v1 in staging, then these bytes."""
    register(delivery_project.staging)
    deployment.deploy(delivery_project.staging, "v1")
    return str(deployment.deploy(delivery_project.staging, delivery_project.register_by_force(content)).row.version)


def last_row(delivery_project: DeliveryProject) -> Row:
    return delivery_project.staging.rows[-1]


def test_a_model_that_raises_fails_and_is_rolled_back(delivery_project: DeliveryProject, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes((delivery_project.root / "models/model.skops").read_bytes())
    assert staged_by_force(delivery_project, raising(path)) == "v2"

    told = Project(delivery_project.root).champion("smoke", "--env", "staging", "--or-roll-back", check=False)

    assert told.returncode == 1
    assert "model.skops raises ValueError: " in told.stderr
    assert "Traceback" not in told.stderr
    test, rollback = delivery_project.staging.rows[-2:]
    assert (test.action, test.version, test.outcome) == ("smoke", "v2", False)
    assert (rollback.action, rollback.version) == ("rollback", "v1")
    with pytest.raises(UserError, match=r"model\.skops raises ValueError"):
        deployment.promote(delivery_project.production, "v2", emergency=True, reason="it must")
    assert not proof.ready(delivery_project.staging, "v2")[1].passed


def test_a_model_that_never_ends_is_stopped_and_rolled_back(delivery_project: DeliveryProject, tmp_path: Path) -> None:
    delivery_project.use_result("strong")
    staged_by_force(delivery_project, never_ending(delivery_project.root, tmp_path / "model.skops"))
    delivery_project.edit_thresholds("row_latency_ms: 100, seconds: 8")

    told = Project(delivery_project.root).champion("smoke", "--env", "staging", "--or-roll-back", check=False)

    assert told.returncode == 1
    test, rollback = delivery_project.staging.rows[-2:]
    assert (test.action, test.reason) == ("smoke", "it did not end, and was stopped after 8 s")
    assert (rollback.action, rollback.version) == ("rollback", "v1")


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process in /proc")
def test_a_model_that_crashes_its_process_fails(
    delivery_project: DeliveryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(delivery_project.staging)
    deployment.deploy(delivery_project.staging, "v1")
    done = threading.Event()
    # Other workers have such processes too.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def crash() -> None:
        while not done.is_set():
            for opened in Path("/proc").glob("[0-9]*/fd/1"):
                with contextlib.suppress(OSError):
                    if opened.readlink().match(f"{tmp_path}/champion-*/errors.txt"):
                        os.kill(int(opened.parts[2]), signal.SIGSEGV)
                        return

    killer = threading.Thread(target=crash)
    killer.start()
    row, report = proof.smoke_test(delivery_project.staging)
    done.set()
    killer.join()
    assert report.failures == ["its process ended by the signal SIGSEGV: no message"]
    assert (row.outcome, row.reason) == (False, report.failures[0])
    assert last_row(delivery_project) == row
    assert proof.smoke_test(delivery_project.staging)[1].passed


def test_a_file_in_the_current_folder_is_no_library(delivery_project: DeliveryProject) -> None:
    register(delivery_project.staging)
    deployment.deploy(delivery_project.staging, "v1")
    (delivery_project.root / "skops.py").write_text("raise RuntimeError('this is no library')")
    told = Project(delivery_project.root).run("champion", "smoke", "--env", "staging")
    assert "v1 passed its smoke test in staging" in told.stdout


def test_an_emergency_does_not_wait_for_a_busy_machine(delivery_project: DeliveryProject) -> None:
    register(delivery_project.staging)
    delivery_project.edit_thresholds("row_latency_ms: 0.000001")
    row = deployment.promote(delivery_project.production, "v1", emergency=True, reason="an outage").row
    [slow] = row.details["smoke"]["failures"]
    assert slow.startswith("one row of model.onnx takes ")
    assert read_pointer(delivery_project.production.environment).version == "v1"
