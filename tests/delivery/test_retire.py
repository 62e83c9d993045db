"""A version that is retired is beaten by nobody and beats nobody, and what is served stays served."""

import json

import pytest

from champion.core.errors import ConflictError, NotFoundError, UserError
from champion.delivery import deployment, proof
from champion.delivery.challenge import challenge
from champion.delivery.register import register
from champion.delivery.retire import retire
from champion.delivery.webhook import VARIABLE
from champion.registry import history, standing
from champion.registry.served import read_pointer, status_of
from support.delivery import DeliveryProject, InState
from support.project import Project
from support.webhook import Webhook


def test_the_candidate_after_a_retired_champion_needs_the_gates_only(in_state: InState) -> None:
    project = in_state("promoted")
    row = retire(project.staging, "champion", "its features are no longer in the table")
    assert (row.action, row.version, row.reason) == ("retire", "v1", "its features are no longer in the table")
    assert row.model_sha256 == history.versions(project.staging.rows)["v1"].model_sha256
    assert standing.champion(project.staging.rows) is None
    assert [read_pointer(one.environment).version for one in (project.staging, project.production)] == ["v1", "v1"]
    # Its table has no dates, so it could not be compared with v1.
    project.use_result("undated")
    register(project.staging)
    verdict = challenge(project.staging)
    assert (verdict.won, verdict.champion, verdict.comparison) == (True, None, None)
    assert standing.champion(project.staging.rows) == "v2"


def test_a_retired_version_wins_no_challenge(delivery_project: DeliveryProject) -> None:
    register(delivery_project.staging)
    retire(delivery_project.staging, "v1", "it was trained on wrong labels")
    before = delivery_project.staging.rows
    for name in ("v1", None):
        with pytest.raises(ConflictError) as refused:
            challenge(delivery_project.staging, name)
        assert str(refused.value) == (
            "v1 was retired (ledger row 2: it was trained on wrong labels), and nothing undoes that. Use another "
            "version."
        )
    assert delivery_project.staging.rows == before


def test_a_rollback_to_a_retired_version_leaves_the_champion(in_state: InState) -> None:
    project = in_state("promoted twice")
    retire(project.staging, "v1", "it was trained on wrong labels")
    assert standing.champion(project.staging.rows) == "v2"
    assert deployment.rollback(project.production).row.version == "v1"
    assert standing.champion(project.staging.rows) == "v2"
    assert status_of(project.production.environment).note == "retired: it was trained on wrong labels (ledger row 11)"
    deployment.rollback(project.production, "v2")
    deployment.deploy(project.staging, "v1")
    proof.smoke_test(project.staging)
    with pytest.raises(ConflictError, match=r"v1 was retired \(ledger row 11: it was trained on wrong labels\)"):
        deployment.promote(project.production, "v1")


def test_the_same_pair_registered_by_an_older_program_is_retired_too(delivery_project: DeliveryProject) -> None:
    registry = delivery_project.staging
    version, _ = register(registry)
    older = {key: value for key, value in delivery_project.staging.rows[0].details.items() if key != "format"}
    with registry.ledger.appending() as session:
        session.append("register", version="v2", model_sha256=version.model_sha256, details=older)
    assert challenge(delivery_project.staging, "v1").won
    retire(delivery_project.staging, "v2", "it was trained on wrong labels")
    assert standing.champion(delivery_project.staging.rows) is None
    with pytest.raises(ConflictError, match="v1 was retired"):
        challenge(delivery_project.staging, "v1")


def test_what_cannot_be_retired_is_refused_and_not_recorded(delivery_project: DeliveryProject) -> None:
    register(delivery_project.staging)
    retire(delivery_project.staging, "v1", "once")
    before = delivery_project.staging.rows
    with pytest.raises(ConflictError, match=r"v1 was retired \(ledger row 2: once\)"):
        retire(delivery_project.staging, "v1", "twice")
    with pytest.raises(NotFoundError, match="there is no version 'v9' in this registry"):
        retire(delivery_project.staging, "v9", "unknown")
    with pytest.raises(UserError, match="needs a reason"):
        retire(delivery_project.staging, "v1", " ")
    assert delivery_project.staging.rows == before


def test_the_commands_tell_what_is_retired(delivery_project: DeliveryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    register(delivery_project.staging)
    project = Project(delivery_project.root)
    with Webhook() as webhook:
        monkeypatch.setenv(VARIABLE, webhook.url)
        told = project.champion("retire", "challenger", "--reason", "wrong labels").stdout
        assert [text.partition(", by ")[0] for text in webhook.texts] == ["retire v1 (wrong labels)"]
    monkeypatch.delenv(VARIABLE)
    assert told == "v1 is retired (ledger row 2)\n"
    assert project.champion("versions").stdout.splitlines()[1].startswith("v1 (retired)")
    [version] = json.loads(project.champion("versions", "--json").stdout)
    assert (version["retired"], version["aliases"]) == (True, [])
    last = project.champion("history").stdout.splitlines()[-1].split()
    assert (last[2:4], last[-2:]) == (["retire", "v1"], ["wrong", "labels"])
    assert project.champion("retire", "v1", check=False).returncode == 2
    assert project.champion("retire", "v1", "--reason", " ", check=False).returncode == 2
