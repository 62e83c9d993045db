"""Which versions somebody may still need, so that `champion gc` keeps their files."""

from pathlib import Path

import pytest

from champion.core.errors import ConflictError, UserError
from champion.delivery import deployment
from champion.delivery.needed import needed_versions
from champion.delivery.rollout import shadow
from support.delivery import DeliveryProject, InState


def needed(project: DeliveryProject, environment: str) -> set[str]:
    found, _ = needed_versions(project.root, everywhere=False)
    return {name.partition(" of ")[0] for name in found if name.endswith(f" of {environment}")}


@pytest.fixture
def project(in_state: InState) -> DeliveryProject:
    return in_state("three registered, the first deployed")


def test_a_version_between_the_live_and_the_newest_one_is_not_needed(project: DeliveryProject) -> None:
    assert needed(project, "staging") == {"v1", "v3"}


def test_a_version_to_which_an_environment_can_return_is_needed(project: DeliveryProject) -> None:
    deployment.deploy(project.staging, "v2")
    deployment.deploy(project.staging, "v3")
    assert needed(project, "staging") == {"v1", "v2", "v3"}
    deployment.rollback(project.staging, "v1", reason="both are wrong")
    assert needed(project, "staging") == {"v1", "v3"}


def test_a_version_in_the_shadow_is_needed(project: DeliveryProject) -> None:
    shadow(project.staging, "v2")
    assert needed(project, "staging") == {"v1", "v2", "v3"}


def test_each_environment_that_shares_the_ledger_is_asked(in_state: InState) -> None:
    project = in_state("promoted, staged")
    assert needed(project, "production") == {"v1", "v2"}
    found, unasked = needed_versions(project.root, everywhere=True)
    assert {"v1 of production", "v2 of staging"} <= set(found)
    assert unasked == []


def test_an_environment_without_its_variables_is_told_or_refused(
    project: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHAMPION_DATABASE_URL")
    found, unasked = needed_versions(project.root, everywhere=False)
    assert (found, unasked) == ({}, ["staging", "production"])
    with pytest.raises(UserError, match="the environment variable CHAMPION_DATABASE_URL is not set"):
        needed_versions(project.root, everywhere=True)


def test_a_ledger_that_lost_its_rows_is_not_believed(project: DeliveryProject, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").unlink()
    with pytest.raises(ConflictError, match="the ledger of staging cannot be trusted"):
        needed_versions(project.root, everywhere=False)
