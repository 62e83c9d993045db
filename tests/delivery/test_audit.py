"""Every difference between the ledger, the registry and the stores is reported."""

import dataclasses
from pathlib import Path

import pytest
import sqlalchemy as sa

from champion.core.errors import UserError
from champion.delivery import deployment, proof
from champion.delivery.audit import differences
from champion.registry.chain import Row
from champion.registry.served import read_pointer
from support.delivery import DeliveryProject, InState


@pytest.fixture
def delivered(in_state: InState) -> DeliveryProject:
    """Two versions registered, the second live in staging."""
    delivery_project = in_state("both deployed")
    assert differences(delivery_project.staging) == []
    return delivery_project


def live(delivery_project: DeliveryProject) -> Row:
    row = read_pointer(delivery_project.staging.environment)
    assert row is not None
    return row


def only_difference(delivery_project: DeliveryProject) -> str:
    found = differences(delivery_project.production)
    assert len(found) == 1, found
    return found[0]


FILES = [
    *("model.skops", "model.onnx", "rehearsed.skops", "reference.json", "reference_rows.parquet"),
    *("examples.json", "training_rows.u64"),
]


@pytest.mark.parametrize("name", FILES)
def test_a_registered_file_that_is_missing_or_another(delivered: DeliveryProject, name: str) -> None:
    store, key = delivered.staging.files, delivered.staging.resolve("v2").key(name)
    store.write(key, b"another")
    assert "but v2 was registered with" in only_difference(delivered)
    store.remove(key)
    assert f"{name}: missing, but v2 needs it" in only_difference(delivered)


@pytest.mark.parametrize("name", ["model.skops", "model.onnx", "examples.json"])
def test_a_served_file_that_is_missing_or_another(delivered: DeliveryProject, name: str) -> None:
    store, key = delivered.staging.store, delivered.staging.resolve("v2").key(name)
    store.write(key, b"another")
    assert "staging" in only_difference(delivered)
    store.remove(key)
    assert "missing, but v2 needs it" in only_difference(delivered)


def test_a_file_that_belongs_to_no_version(delivered: DeliveryProject) -> None:
    delivered.staging.files.write("abc/model.skops", b"stray")
    assert "abc/model.skops: no version in the ledger has this file" in only_difference(delivered)
    delivered.staging.files.remove("abc/model.skops")
    delivered.staging.store.write("abc/model.skops", b"stray")
    assert "abc/model.skops: no registered version has this file" in only_difference(delivered)


def test_a_pointer_that_is_damaged_gone_or_old(delivered: DeliveryProject) -> None:
    store = delivered.staging.store
    now = store.read("current.json")
    first = next(row for row in delivered.staging.rows if row.action == "deploy")
    store.write("current.json", now[:100])
    assert "current.json: damaged" in only_difference(delivered)
    store.remove("current.json")
    assert "staging: the store serves nothing, but the ledger says v2" in only_difference(delivered)
    store.write("current.json", first.as_json())
    told = only_difference(delivered)
    assert "staging: the store serves v1 (row 2, " in told
    assert "but the ledger says v2 (row 4, " in told


@pytest.mark.parametrize("content", [b"{", None])
def test_a_lost_pointer_is_written_again_by_the_next_command(delivered: DeliveryProject, content: bytes | None) -> None:
    store = delivered.staging.store
    store.remove("current.json")
    if content is not None:
        store.write("current.json", content)
    assert not deployment.deploy(delivered.staging, "v2").changed
    assert live(delivered).version == "v2"
    assert differences(delivered.staging) == []


def test_a_restored_store_is_recorded_by_the_next_command(delivered: DeliveryProject) -> None:
    first = next(row for row in delivered.staging.rows if row.action == "deploy")
    delivered.staging.store.write("current.json", first.as_json())
    proof.smoke_test(delivered.staging)
    rows = delivered.staging.rows
    assert [(row.action, row.version) for row in rows[-2:]] == [("repair", "v1"), ("smoke", "v1")]
    assert differences(delivered.staging) == []


def test_a_pointer_to_a_model_that_nobody_registered_is_not_taken_over(delivered: DeliveryProject) -> None:
    forged = dataclasses.replace(live(delivered), model_sha256="0" * 64)
    forged = dataclasses.replace(forged, hash=forged.computed_hash())
    delivered.staging.store.write("current.json", forged.as_json())
    unregistered = f"staging: the store serves v2, sha256 {'0' * 64}, which is not registered"
    assert unregistered in differences(delivered.staging)
    with pytest.raises(Exception, match="which is not in the ledger"):
        deployment.deploy(delivered.staging, "v1")


def test_an_edited_ledger_is_found_and_proves_nothing(in_state: InState, tmp_path: Path) -> None:
    delivered = in_state("both deployed, tested")
    engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.db", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_refuses_UPDATE")
        connection.exec_driver_sql("UPDATE ledger SET reason = 'harmless' WHERE sequence = 1")
    found = differences(delivered.production)
    assert [text.partition(":")[0] for text in found] == [
        "ledger row 1 was edited",
        "the triggers by which the database refuses to change the ledger were removed or altered",
    ]
    with pytest.raises(Exception, match="the ledger was edited"):
        deployment.promote(delivered.production)
    with pytest.raises(UserError, match="no command writes to it"):
        deployment.rollback(delivered.staging)
    assert live(delivered).version == "v2"
    row = deployment.rollback(delivered.staging, emergency=True, reason="v2 is wrong").row
    assert (row.version, row.details["emergency"], row.details["breaks"]) == ("v1", True, found)


def test_removed_last_rows_are_found(delivered: DeliveryProject, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.db", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_refuses_DELETE")
        connection.exec_driver_sql("DELETE FROM ledger WHERE sequence = 4")
    found = differences(delivered.staging)
    assert any("the ledger ends at row 3, but the registry knows row 4: rows were removed" in text for text in found)
    assert any("staging: the store serves v2 (row 4, " in difference for difference in found)
