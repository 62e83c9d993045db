"""A model file that would run code when loaded is registered, deployed, tested and loaded: nothing runs."""

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from workshop import Workshop, write_lock

from champion.core.errors import UserError
from champion.delivery import deployment
from champion.delivery.register import register
from champion.registry.served import read_pointer


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def as_pickle(file: Path, mark: Path) -> None:
    file.write_bytes(pickle.dumps(Payload(mark)))


def as_skops(file: Path, mark: Path) -> None:
    """An archive of ours whose pipeline is a call of `os.system`."""
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


def test_a_hostile_model_is_not_registered(
    workshop: Workshop, spoil: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    spoil(workshop.root / "models/model.skops", tmp_path / "ran")
    write_lock(workshop.root)
    with pytest.raises(UserError, match=r"model.skops"):
        register(workshop.staging)
    assert workshop.staging.rows == []
    assert not (tmp_path / "ran").exists()


def test_a_hostile_model_that_was_registered_by_force_runs_nothing_anywhere(
    workshop: Workshop, spoil: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    good, _ = register(workshop.staging)
    file = workshop.root / "models/model.skops"
    spoil(file, tmp_path / "ran")
    content, examples = file.read_bytes(), workshop.staging.read_file(good, "examples.json")
    sha256 = hashlib.sha256(content).hexdigest()
    store = workshop.staging.files
    store.write(f"{sha256}/model.skops", content)
    store.write(f"{sha256}/examples.json", examples)
    registered = workshop.staging.rows[0].details
    details = dict(registered) | {"files": {**good.files, "model.skops": sha256}}
    with workshop.staging.ledger.appending() as session:
        session.append("register", version="v2", model_sha256=sha256, details=details)

    with pytest.raises(UserError):
        workshop.staging.load_model("v2")
    deployment.deploy(workshop.staging, "v2")
    _, report = deployment.smoke_test(workshop.staging)
    assert not report.passed
    assert "it does not load" in report.failures[0]
    with pytest.raises(UserError, match="does not load"):
        deployment.promote(workshop.production, "v2", emergency=True, reason="an attack")
    assert read_pointer(workshop.production.environment) is None
    assert not (tmp_path / "ran").exists()
