"""A model's way from `dvc repro` to production and back, on both databases."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from workshop import REPOSITORY, Workshop

from champion.core.errors import UserError
from champion.delivery import deployment
from champion.delivery.audit import differences
from champion.delivery.challenge import challenge
from champion.delivery.register import register
from champion.registry import history
from champion.registry.served import read_model, read_pointer


def staged(workshop: Workshop, result: str) -> str:
    """Register, crown, stage and test a result of the pipeline; its version."""
    workshop.bring(result)
    version, _ = register(workshop.staging)
    assert challenge(workshop.staging).won
    deployment.deploy(workshop.staging, version.name)
    assert deployment.smoke_test(workshop.staging)[1].passed
    return version.name


def test_a_model_goes_to_production_and_back(anywhere: Workshop) -> None:
    assert staged(anywhere, "weak") == "v1"
    assert deployment.promote(anywhere.production).changed
    noon = datetime.now(UTC)
    assert staged(anywhere, "strong") == "v2"
    deployment.promote(anywhere.production)
    assert read_pointer(anywhere.production.environment).version == "v2"

    deployment.rollback(anywhere.production, reason="too many defaults")

    live = read_pointer(anywhere.production.environment)
    rows = anywhere.production.rows
    assert (live.version, live.from_version, live.reason) == ("v1", "v2", "too many defaults")
    assert history.live_at(rows, "production", noon).version == "v1"
    assert history.aliases(rows, ["staging", "production"]) == {
        "champion": "v1",
        "challenger": "v2",
        "staging": "v2",
        "production": "v1",
    }
    assert [row.action for row in rows if row.environment == "production"] == ["promote", "promote", "rollback"]
    assert differences(anywhere.production) == []


def test_production_takes_only_what_passed_in_staging(workshop: Workshop) -> None:
    workshop.bring("weak")
    register(workshop.staging)
    with pytest.raises(UserError, match="takes only what passed in staging"):
        deployment.deploy(workshop.production, "v1")
    with pytest.raises(UserError, match="staging serves nothing yet"):
        deployment.promote(workshop.production)
    with pytest.raises(UserError, match="v1 is not live in staging"):
        deployment.promote(workshop.production, "v1")
    deployment.deploy(workshop.staging, "v1")
    with pytest.raises(UserError, match="v1 was not smoke tested in staging"):
        deployment.promote(workshop.production)
    deployment.smoke_test(workshop.staging)
    with pytest.raises(UserError, match="v1 is not the champion"):
        deployment.promote(workshop.production)
    assert read_pointer(workshop.production.environment) is None
    challenge(workshop.staging)
    assert deployment.promote(workshop.production).changed


def test_a_smoke_test_counts_only_for_what_is_live_since(workshop: Workshop) -> None:
    staged(workshop, "weak")
    staged(workshop, "strong")
    deployment.rollback(workshop.staging)
    with pytest.raises(UserError, match="v1 was not smoke tested"):
        deployment.promote(workshop.production)


def test_an_emergency_needs_a_reason_and_nothing_else(workshop: Workshop) -> None:
    workshop.bring("weak")
    register(workshop.staging)
    with pytest.raises(UserError, match="needs a reason"):
        deployment.promote(workshop.production, "v1", emergency=True)
    row = deployment.promote(workshop.production, "v1", emergency=True, reason="the old one is wrong").row
    assert (row.reason, row.details["emergency"], row.details["smoke"]["passed"]) == (
        "the old one is wrong",
        True,
        True,
    )
    assert history.champion(workshop.production.rows) == "v1"


def test_deploying_what_is_live_changes_nothing_but_heals_its_files(workshop: Workshop) -> None:
    staged(workshop, "weak")
    before = workshop.staging.rows
    row = read_pointer(workshop.staging.environment)
    workshop.staging.store.write(f"{row.model_sha256}/model.skops", b"rotten")
    with pytest.raises(UserError, match="not the file that was deployed"):
        read_model(workshop.staging.environment, row)

    assert not deployment.deploy(workshop.staging, "v1").changed

    assert read_model(workshop.staging.environment, row)
    assert workshop.staging.rows == before


def test_rollback_goes_back_step_by_step_and_says_when_there_is_no_more(workshop: Workshop) -> None:
    for result in ("weak", "strong", "same"):
        workshop.bring(result)
        version, _ = register(workshop.staging)
        deployment.deploy(workshop.staging, version.name)
    assert deployment.rollback(workshop.staging).row.version == "v2"
    assert deployment.rollback(workshop.staging).row.version == "v1"
    with pytest.raises(UserError, match="no version to go back to: v1 is the first"):
        deployment.rollback(workshop.staging)
    assert deployment.rollback(workshop.staging, "v3").row.version == "v3"
    with pytest.raises(UserError, match="never live in production"):
        deployment.rollback(workshop.production, "v3")
    with pytest.raises(UserError, match="no version 'v9'"):
        deployment.rollback(workshop.staging, "v9")


def test_a_model_that_answers_otherwise_is_not_promoted(workshop: Workshop) -> None:
    staged(workshop, "weak")
    deployment.promote(workshop.production)
    staged(workshop, "strong")
    settings = workshop.root / "config/environments.yaml"
    settings.write_text(settings.read_text().replace("row_latency_ms: 100", "row_latency_ms: 0.000001"))
    with pytest.raises(UserError, match=r"the smoke test of v2 in production failed: one row takes .* What was live"):
        deployment.promote(workshop.production)
    assert read_pointer(workshop.production.environment).version == "v1"
    last = workshop.production.rows[-1]
    assert (last.action, last.environment, last.version, last.details["passed"]) == ("smoke", "production", "v2", False)
    assert history.smoke(workshop.production.rows, "production") is None


def test_the_same_model_is_the_same_version(anywhere: Workshop) -> None:
    first, new = register(anywhere.staging)
    again, new_again = register(anywhere.staging)
    assert (new, new_again, again) == (True, False, first)
    details = anywhere.staging.rows[0].details
    assert details["window"]["train"]["rows"] == 14
    assert details["params"]["train"]["estimator"] == "logistic_regression"
    assert details["metrics"]["roc_auc"] > 0.5
    assert set(details["lineage"]) > {"data/prepared", "models/model.skops"}
    assert len(details["environment_lock_sha256"]) == 64


def test_only_what_the_lock_vouches_for_is_registered(workshop: Workshop) -> None:
    workshop.bring("strong")
    (workshop.root / "metrics/evaluation.json").write_text('{"roc_auc": 0.99}')
    with pytest.raises(UserError, match=r"metrics/evaluation.json: not what dvc.lock says"):
        register(workshop.staging)
    (workshop.root / "dvc.lock").write_text("[]")
    with pytest.raises(UserError, match=r"dvc.lock: not a YAML file of DVC"):
        register(workshop.staging)
    assert workshop.staging.rows == []


def test_a_version_loads_by_name_and_by_alias(workshop: Workshop) -> None:
    staged(workshop, "weak")
    deployment.promote(workshop.production)
    names = ("v1", "champion", "staging", "production")
    assert {workshop.production.load_model(name).base_rate for name in names} == {
        workshop.staging.load_model("v1").base_rate
    }
    with pytest.raises(UserError, match="no version is 'challenger' yet"):
        workshop.production.load_model("challenger")


def test_a_model_is_loaded_as_the_docs_say(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    staged(workshop, "weak")
    deployment.promote(workshop.production)
    monkeypatch.chdir(workshop.root)
    page = (REPOSITORY / "docs/delivery.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], names)  # noqa: S102
    assert names["model"].base_rate == workshop.production.load_model("v1").base_rate


def test_a_version_is_ready_when_the_registry_has_it_whole_and_it_answers(workshop: Workshop) -> None:
    version, _ = register(workshop.staging)
    assert deployment.ready(workshop.staging, "v1")[1].passed
    with pytest.raises(UserError, match="no version is 'champion' yet"):
        deployment.ready(workshop.staging, "champion")
    workshop.staging.files.write(version.key("examples.json"), b"{}")
    with pytest.raises(UserError, match="is not the file that was registered"):
        deployment.ready(workshop.staging, "v1")


def test_a_file_that_is_not_the_registered_one_is_not_loaded(workshop: Workshop) -> None:
    version, _ = register(workshop.staging)
    workshop.staging.files.write(version.key("model.skops"), b"another")
    with pytest.raises(UserError, match="is not the file that was registered"):
        workshop.staging.load_model("v1")
    with pytest.raises(UserError, match="is not the file that was registered"):
        deployment.deploy(workshop.staging, "v1")


def test_status_history_and_audit_say_what_is_where(workshop: Workshop) -> None:
    staged(workshop, "weak")
    deployment.promote(workshop.production)

    def champion(*arguments: str) -> str:
        command = [sys.executable, "-m", "champion", *arguments]
        return subprocess.run(command, cwd=workshop.root, capture_output=True, text=True, check=True).stdout

    lines = {line.split()[0]: line.split() for line in champion("status").splitlines()}
    assert lines["staging"][1] == "v1"
    assert lines["staging"][4] == "passed"
    assert lines["production"][4:6] == ["not", "run"]
    assert "promote  v1" in champion("history", "--env", "production")
    assert "production served v1" in champion("history", "--env", "production", "--at", datetime.now(UTC).isoformat())
    assert "served nothing at 2020-01-01" in champion("history", "--env", "production", "--at", "2020-01-01")
    assert "no difference" in champion("audit")
    assert "champion, staging, production" in champion("versions")
    assert json.loads(champion("show", "production"))["version"] == "v1"


def test_rollback_and_status_never_load_the_heavy_libraries(workshop: Workshop) -> None:
    staged(workshop, "weak")
    staged(workshop, "strong")
    code = (
        "import sys\nfrom champion.cli.main import app\n"
        "for arguments in (['status'], ['deploy', 'v1', '--env', 'staging'], ['deploy', 'v2', '--env', 'staging'],"
        " ['rollback', '--env', 'staging']):\n"
        "    app(arguments, standalone_mode=False)\n"
        "print([name for name in ('sklearn', 'pandas', 'polars', 'numpy', 'mlflow') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=workshop.root, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-2:] == ["staging serves v1 instead of v2 (rollback, ledger row 11)", "[]"]
