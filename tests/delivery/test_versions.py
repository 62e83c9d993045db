"""A version is a pair of models with its ONNX file, and the files of all versions lie side by side."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from champion.core.errors import UserError
from champion.core.files import sha256_of
from champion.delivery import deployment
from champion.delivery.audit import differences
from champion.delivery.register import register
from champion.registry import history
from champion.registry.served import read_pointer
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
        assert deployment.smoke_test(paired.staging)[1].passed
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
    report = deployment.smoke_test(staged.staging)[1]
    assert len(report.failures) == 1
    assert "model.onnx does not load: " in report.failures[0]
    assert "its sha256 is" in report.failures[0]
    staged.staging.store.remove(key)
    assert deployment.smoke_test(staged.staging)[1].failures == [f"{staged.staging.store.url}/{key} is missing"]
    assert deployment.deploy(staged.staging, "v1").changed is False
    assert deployment.smoke_test(staged.staging)[1].passed


def test_an_onnx_file_of_another_model_fails_the_smoke_test(staged: DeliveryProject) -> None:
    path = staged.results / "strong/models/model.onnx"
    registry, sha256 = staged.staging, sha256_of(path)
    registry.files.write(f"{sha256}/model.onnx", path.read_bytes())
    details = dict(registry.rows[0].details)
    details["files"] = details["files"] | {"model.onnx": sha256}
    with registry.ledger.appending() as session:
        session.append("register", version="v2", model_sha256=details["files"]["model.skops"], details=details)
    deployment.deploy(staged.staging, "v2")
    report = deployment.smoke_test(staged.staging)[1]
    assert [failure.partition(" by up to")[0] for failure in report.failures] == [
        "the predictions of model.onnx differ"
    ]


def test_an_onnx_file_that_is_none_is_not_registered(delivery_project: DeliveryProject) -> None:
    (delivery_project.root / "models/model.onnx").write_bytes(b"text")
    delivery_project.commit()
    with pytest.raises(UserError, match=r"model\.onnx: not an ONNX file of a model"):
        register(delivery_project.staging)
    assert delivery_project.staging.rows == []
