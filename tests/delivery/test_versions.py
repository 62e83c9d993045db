"""A version is a pair of models with its ONNX file, and the files of all versions lie side by side."""

import hashlib
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest

from champion.core.errors import UserError
from champion.core.files import sha256_of
from champion.delivery import deployment, proof
from champion.delivery.audit import differences
from champion.delivery.register import register
from champion.registry import history
from champion.registry.served import POINTER, read_pointer
from champion.registry.versions import FORMAT, Version
from support.delivery import DeliveryProject, InState


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two results with the same delivered model, whose judged models were made at different dates."""
    from support.results import make_result, people

    folder = tmp_path_factory.mktemp("pairs")
    table = pl.concat([people(1500, 5, 0, date(2016, 9, 1)), people(1500, 6, 5000, date(2018, 7, 1))])
    for name, months in (("a year", 12), ("longer", 18)):
        make_result(folder / name, table, decision={"probability": 0.5}, split={"test": months})
    return folder


@pytest.fixture
def paired(delivery_project: DeliveryProject, pairs: Path) -> DeliveryProject:
    """Both results registered."""
    project = DeliveryProject(delivery_project.root, pairs)
    for name in ("a year", "longer"):
        project.use_result(name)
        assert register(project.staging)[1]
    return project


def versions(project: DeliveryProject) -> list[Version]:
    return list(history.versions(project.staging.rows).values())


def test_the_same_refit_with_another_rehearsal_is_another_version(paired: DeliveryProject) -> None:
    first, second = versions(paired)
    assert first.models == second.models
    assert first.files["rehearsed.skops"] != second.files["rehearsed.skops"]
    assert register(paired.staging) == (second, False)
    paired.use_result("a year")
    assert register(paired.staging) == (first, False)
    assert first.format == second.format == FORMAT


def test_versions_that_share_a_model_are_served_one_after_the_other(paired: DeliveryProject) -> None:
    for name in ("v1", "v2"):
        assert deployment.deploy(paired.staging, name).changed
        assert proof.smoke_test(paired.staging)[1].passed
    assert deployment.rollback(paired.staging).row.version == "v1"
    assert differences(paired.staging) == []
    key = versions(paired)[0].key("model.onnx")
    paired.staging.store.remove(key)
    assert [found for found in differences(paired.staging) if key in found] == differences(paired.staging)
    assert differences(paired.staging)[0].endswith("missing, but v1 needs it")


def test_a_registration_keeps_the_files_of_all_others(paired: DeliveryProject) -> None:
    for version in versions(paired):
        for name, sha256 in version.files.items():
            assert paired.staging.files.holds(version.key(name), sha256)


def test_a_pointer_names_both_files_of_the_model(paired: DeliveryProject) -> None:
    deployment.deploy(paired.staging, "v1")
    pointer = read_pointer(paired.staging.environment)
    assert pointer is not None
    found = {name: sha256_of(paired.root / "models" / name) for name in ("model.skops", "model.onnx")}
    assert pointer.details["models"] == found


@pytest.fixture
def staged(in_state: InState) -> DeliveryProject:
    return in_state("staged")


def test_an_onnx_file_that_is_gone_or_another_fails_the_smoke_test(staged: DeliveryProject) -> None:
    key = versions(staged)[0].key("model.onnx")
    staged.staging.store.write(key, b"another")
    report = proof.smoke_test(staged.staging)[1]
    assert len(report.failures) == 1
    assert "model.onnx does not load: " in report.failures[0]
    assert "its sha256 is" in report.failures[0]
    staged.staging.store.remove(key)
    assert proof.smoke_test(staged.staging)[1].failures == [f"{staged.staging.store.url}/{key} is missing"]
    assert deployment.deploy(staged.staging, "v1").changed is False
    assert proof.smoke_test(staged.staging)[1].passed


def test_an_onnx_file_of_another_model_fails_the_smoke_test(staged: DeliveryProject) -> None:
    path = staged.results / "strong/models/model.onnx"
    registry, sha256 = staged.staging, sha256_of(path)
    registry.files.write(f"{sha256}/model.onnx", path.read_bytes())
    details = dict(registry.rows[0].details)
    details["files"] = details["files"] | {"model.onnx": sha256}
    with registry.ledger.appending() as session:
        session.append("register", version="v2", model_sha256=details["files"]["model.skops"], details=details)
    deployment.deploy(staged.staging, "v2")
    report = proof.smoke_test(staged.staging)[1]
    told = [failure.partition(" by up to")[0] for failure in report.failures]
    assert told == ["the predictions of model.onnx differ", "its files have different manifests"]


def spoil(content: bytes, damage: str) -> bytes:
    """The ONNX file without a graph, with another cut, or with answers that are NaN."""
    if damage == "text":
        return b"text"
    parsed = onnx.load_from_string(content)
    if damage == "another cut":
        manifest = json.loads(parsed.metadata_props[0].value)
        parsed.metadata_props[0].value = json.dumps(manifest | {"cut": 0.9})
    else:
        for node in parsed.graph.node:
            node.input[:] = ["nan" if one == parsed.graph.node[-2].output[0] else one for one in node.input]
        parsed.graph.initializer.append(onnx.numpy_helper.from_array(np.full((1, 1), np.nan), "nan"))
    return parsed.SerializeToString()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("text", "not an ONNX file of a model"),
        ("another cut", r"it is another model than models/model\.skops"),
        ("answers that are NaN", r"it is another model than models/model\.skops"),
    ],
)
def test_an_onnx_file_of_no_or_another_model_is_not_registered(
    delivery_project: DeliveryProject, damage: str, told: str
) -> None:
    path, proof = (delivery_project.root / name for name in ("models/model.onnx", "metrics/export.json"))
    before = sha256_of(path)
    path.write_bytes(spoil(path.read_bytes(), damage))
    delivery_project.commit()
    with pytest.raises(UserError, match=r"metrics/export\.json: it is about other models"):
        register(delivery_project.staging)
    proof.write_text(proof.read_text().replace(before, sha256_of(path)))
    delivery_project.commit()
    with pytest.raises(UserError, match=f"models/model\\.onnx: {told}"):
        register(delivery_project.staging)
    assert delivery_project.staging.rows == []


def test_an_onnx_file_with_another_manifest_fails_the_smoke_test(staged: DeliveryProject) -> None:
    registry = staged.staging
    content = spoil(registry.read_file(versions(staged)[0], "model.onnx"), "another cut")
    sha256 = hashlib.sha256(content).hexdigest()
    registry.files.write(f"{sha256}/model.onnx", content)
    details = dict(registry.rows[0].details)
    details["files"] = details["files"] | {"model.onnx": sha256}
    with registry.ledger.appending() as session:
        session.append("register", version="v2", model_sha256=details["files"]["model.skops"], details=details)
    deployment.deploy(staged.staging, "v2")
    assert proof.smoke_test(staged.staging)[1].failures == ["its files have different manifests"]


def test_a_file_that_the_registry_lost_is_written_again(paired: DeliveryProject) -> None:
    second = versions(paired)[1]
    for name in ("rehearsed.skops", "reference.json", "reference_rows.parquet"):
        paired.staging.files.remove(second.key(name))
    assert register(paired.staging) == (second, False)
    assert differences(paired.staging) == []


def test_a_pair_with_another_file_beside_it_is_refused(paired: DeliveryProject) -> None:
    path = paired.root / "models/reference.json"
    path.write_text("{}")
    paired.commit()
    with pytest.raises(
        UserError, match=r"models/reference.json: v2 is this pair of models, and was registered with ano"
    ):
        register(paired.staging)


def without_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAMPION_DATABASE_URL", "postgresql+psycopg://x:y@127.0.0.1:1/none")


def test_an_outage_rollback_needs_both_files_of_the_model(in_state: InState, monkeypatch: pytest.MonkeyPatch) -> None:
    project = in_state("promoted twice")
    production, first = project.production, versions(project)[0]
    kept = production.store.read(first.key("model.onnx"))
    assert kept is not None
    production.store.remove(first.key("model.onnx"))
    without_ledger(monkeypatch)
    with pytest.raises(UserError, match="only if its store has that model"):
        deployment.rollback(project.production, emergency=True, reason="an outage")
    production.store.write(first.key("model.onnx"), kept)
    row = deployment.rollback(project.production, emergency=True, reason="an outage").row
    assert (row.version, row.details["models"]) == ("v1", first.models)


def test_an_outage_rollback_follows_a_pointer_of_before_there_was_an_onnx_file(
    in_state: InState, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = in_state("promoted twice")
    production, first = project.production, versions(project)[0]
    row = read_pointer(production.environment)
    assert row is not None
    details = {key: value for key, value in row.details.items() if key not in ("models", "from_models")}
    older = replace(row, details=details | {"from_model_sha256": first.model_sha256})
    production.store.write(POINTER, replace(older, hash=older.computed_hash()).as_json())
    without_ledger(monkeypatch)
    back = deployment.rollback(project.production, emergency=True, reason="an outage").row
    assert (back.version, back.model_sha256) == ("v1", first.model_sha256)
