"""A model file that would run code when loaded is registered, deployed, tested and loaded: nothing runs."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.delivery import deployment, proof
from champion.delivery.register import register
from champion.registry.served import read_pointer
from support.delivery import DeliveryProject
from support.results import write_lock


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def as_pickle(file: Path, mark: Path) -> None:
    file.write_bytes(pickle.dumps(Payload(mark)))


def as_skops(file: Path, mark: Path) -> None:
    """One of our archives in which the pipeline is a call of `os.system`."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    call = {
        "__class__": "system", "__module__": "posix", "__loader__": "FunctionNode", "__id__": 1,
        "content": f"touch {mark}",
    }  # fmt: skip
    members["schema.json"] = json.dumps({**call, "protocol": 2, "_skops_version": "0.16.0"}).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


FORMS = {"pickle": as_pickle, "skops": as_skops}


@pytest.fixture(params=FORMS)
def spoil(request: pytest.FixtureRequest) -> Callable[[Path, Path], None]:
    return FORMS[request.param]


def test_a_payload_does_run_when_it_is_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "ran")))  # noqa: S301
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["model.skops", "rehearsed.skops"])
def test_a_hostile_model_is_not_registered(
    delivery_project: DeliveryProject, spoil: Callable[[Path, Path], None], tmp_path: Path, name: str
) -> None:
    spoil(delivery_project.root / "models" / name, tmp_path / "ran")
    write_lock(delivery_project.root)
    with pytest.raises(UserError, match=name):
        register(delivery_project.staging)
    assert delivery_project.staging.rows == []
    assert not (tmp_path / "ran").exists()


def test_a_hostile_model_that_was_registered_by_force_runs_nothing_anywhere(
    delivery_project: DeliveryProject, spoil: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    register(delivery_project.staging)
    file = delivery_project.root / "models/model.skops"
    spoil(file, tmp_path / "ran")
    delivery_project.register_by_force(file.read_bytes())

    with pytest.raises(UserError):
        delivery_project.staging.load_model("v2")
    deployment.deploy(delivery_project.staging, "v2")
    _, report = proof.smoke_test(delivery_project.staging)
    assert not report.passed
    assert "model.skops does not load" in report.failures[0]
    with pytest.raises(UserError, match="does not load"):
        deployment.promote(delivery_project.production, "v2", emergency=True, reason="an attack")
    assert read_pointer(delivery_project.production.environment) is None
    assert not (tmp_path / "ran").exists()
