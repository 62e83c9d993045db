"""A version that was registered when there was one model, with one archive, is used like any other."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from champion.core.files import read_parquet
from champion.delivery import deployment, proof
from champion.delivery.audit import differences
from champion.delivery.challenge import challenge
from champion.delivery.register import register
from champion.model.archive import MANIFEST
from champion.model.model_file import load
from champion.registry import history
from champion.registry.training_rows import pack
from champion.table.keys import row_keys
from support.delivery import DeliveryProject
from support.project import Project
from support.results import PARAMS


def write_older_archive(source: Path, path: Path) -> None:
    """The same model, whose manifest has only the features and the base rate."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w") as out:
        for name in archive.namelist():
            content = archive.read(name)
            if name == MANIFEST:
                manifest = json.loads(content)
                content = json.dumps({key: manifest[key] for key in ("features", "base_rate")}).encode()
            out.writestr(name, content)


@pytest.fixture
def older(delivery_project: DeliveryProject, tmp_path: Path) -> DeliveryProject:
    """v1 is such a version, and champion. It learned from the rows of `weak`."""
    registry, root = delivery_project.staging, delivery_project.root
    path = tmp_path / "older.skops"
    write_older_archive(root / "models/rehearsed.skops", path)
    model, tested = load(path), read_parquet(root / "data/prepared/test.parquet").head(20)
    rows = tested.select(feature.name for feature in model.features)
    learned = read_parquet(root / "data/prepared/at_split/labelled.parquet")
    examples = {"rows": rows.to_dicts(), "probabilities": model.predict(rows).tolist()}
    files = {
        "model.skops": path.read_bytes(),
        "examples.json": json.dumps(examples).encode(),
        "training_rows.u64": pack(row_keys(learned, ["person"])),
    }
    sha256 = hashlib.sha256(files["model.skops"]).hexdigest()
    registry.ledger.begin()
    for name, content in files.items():
        registry.files.write(f"{sha256}/{name}", content)
    dates = {"first": str(learned["day"].min()), "last": str(learned["day"].max())}
    window = {
        "as_of": "2018-07-01",
        "date": "day",
        "horizon_months": 6,
        "id": "person",
        "key": ["person"],
        "strategy": "out_of_time",
        "target": "target",
        "train": {"rows": learned.height, "positives": int(learned["(target)"].sum())} | dates,
        "test": {"rows": 3000, "positives": 1683, "first": "2018-07-01", "last": "2019-06-30"},
    }
    details = {
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "metrics": {"roc_auc": 0.73, "threshold": model.manifest.base_rate},
        "training": {"cross_validation": {"roc_auc": {"mean": 0.7, "std": 0.1}}},
        "window": window,
        "features": json.loads(zipfile.ZipFile(path).read(MANIFEST))["features"],
        "params": {"as_of": "2018-07-01", "window_months": 36}
        | {section: PARAMS[section] for section in ("columns", "label")},
    }
    with registry.ledger.appending() as session:
        session.append("register", version="v1", model_sha256=sha256, details=details)
        session.append("challenge", version="v1", model_sha256=sha256, details={"promoted": True, "comparison": None})
    return delivery_project


def test_an_older_version_is_listed_and_audited(older: DeliveryProject) -> None:
    assert differences(older.staging) == []
    assert "0.7300" in Project(older.root).champion("versions").stdout
    assert json.loads(Project(older.root).champion("show", "v1").stdout)["details"]["window"]["train"]["rows"] == 14
    older.staging.files.remove(f"{history.versions(older.staging.rows)['v1'].model_sha256}/model.skops")
    assert "model.skops: missing, but v1 needs it" in differences(older.staging)[0]


def test_an_older_version_is_served_and_rolled_back_to(older: DeliveryProject) -> None:
    deployment.deploy(older.staging, "v1")
    assert proof.smoke_test(older.staging)[1].passed
    older.use_result("strong")
    register(older.staging)
    deployment.deploy(older.staging, "v2")
    assert deployment.rollback(older.staging).row.version == "v1"
    assert proof.smoke_test(older.staging)[1].passed
    assert older.staging.load_model("staging").manifest.cut == older.staging.load_model("v1").manifest.base_rate


@pytest.mark.parametrize("metric", ["roc_auc", "f1_weighted"])
def test_an_older_champion_is_beaten_by_a_better_model(older: DeliveryProject, metric: str) -> None:
    older.use_result("strong")
    older.edit_params("challenge", metric=metric)
    register(older.staging)
    verdict = challenge(older.staging)
    assert (verdict.champion, verdict.won, verdict.comparison.rows) == ("v1", True, 3000)
    assert (verdict.row.version, verdict.comparison.gain.difference >= 0.01) == ("v2", True)
    assert verdict.contest.kind == "must win"


def test_rows_that_an_older_champion_learned_from_are_not_counted(older: DeliveryProject) -> None:
    older.use_result("overlapping")
    register(older.staging)
    assert challenge(older.staging).comparison.excluded == 14


def test_an_older_version_is_no_challenger(older: DeliveryProject) -> None:
    older.use_result("strong")
    register(older.staging)
    assert challenge(older.staging).won
    assert challenge(older.staging, "v1").stays == "it won against v1 before (ledger row 4)"
