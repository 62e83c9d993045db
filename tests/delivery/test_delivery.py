"""A model goes from `dvc repro` to production and back, on both databases."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from champion.core.errors import UserError
from champion.delivery import deployment, proof
from champion.delivery.audit import differences
from champion.delivery.challenge import challenge
from champion.delivery.findings import clear, findings_of
from champion.delivery.register import register
from champion.delivery.retire import retire
from champion.delivery.smoke import SmokeReport
from champion.registry import history, standing
from champion.registry.served import read_model, read_pointer
from champion.registry.versions import Version
from support.delivery import DeliveryProject, InState
from support.project import REPOSITORY, Project


@pytest.fixture
def promoted(in_state: InState) -> DeliveryProject:
    """Version v1 is in staging and in production."""
    return in_state("promoted")


@pytest.fixture
def challenged(in_state: InState) -> DeliveryProject:
    """Version v1 is in production; v2 won against it, and passed in staging."""
    return in_state("promoted, staged")


@pytest.fixture
def promoted_twice(in_state: InState) -> DeliveryProject:
    """Version v2 is in staging and in production, which served v1 before."""
    return in_state("promoted twice")


@pytest.fixture(params=["sqlite", "postgresql"])
def on_either_database(
    request: pytest.FixtureRequest, in_state: InState, monkeypatch: pytest.MonkeyPatch
) -> DeliveryProject:
    """The same on SQLite, then on PostgreSQL."""
    if request.param == "sqlite":
        return in_state("promoted twice")
    delivery_project = in_state("new")
    monkeypatch.setenv("CHAMPION_DATABASE_URL", request.getfixturevalue("postgresql_url"))
    for result in ("weak", "strong"):
        delivery_project.bring_to_staging(result)
        assert deployment.promote(delivery_project.production).changed
    return delivery_project


def test_a_model_goes_to_production_and_back(on_either_database: DeliveryProject) -> None:
    before = on_either_database.production
    assert read_pointer(before.environment).version == "v2"
    noon = next(row.when for row in before.rows if row.version == "v2")

    deployment.rollback(before, reason="too many defaults")

    production = on_either_database.production
    live = read_pointer(production.environment)
    rows = production.rows
    assert (live.version, live.from_version, live.reason) == ("v1", "v2", "too many defaults")
    assert history.live_at(rows, "production", noon).version == "v1"
    assert standing.aliases(rows, ["staging", "production"]) == {
        "champion": "v1",
        "challenger": "v2",
        "staging": "v2",
        "production": "v1",
    }
    assert [row.action for row in rows if row.environment == "production"] == ["promote", "promote", "rollback"]
    assert differences(production) == []


def test_production_takes_only_what_passed_in_staging(delivery_project: DeliveryProject) -> None:
    delivery_project.use_result("weak")
    register(delivery_project.staging)
    with pytest.raises(UserError, match="takes only versions that passed in staging"):
        deployment.deploy(delivery_project.production, "v1")
    with pytest.raises(UserError, match="staging serves nothing yet"):
        deployment.promote(delivery_project.production)
    with pytest.raises(UserError, match="v1 is not live in staging"):
        deployment.promote(delivery_project.production, "v1")
    deployment.deploy(delivery_project.staging, "v1")
    with pytest.raises(UserError, match="v1 was not smoke tested in staging"):
        deployment.promote(delivery_project.production)
    proof.smoke_test(delivery_project.staging)
    with pytest.raises(UserError, match="v1 is not the champion"):
        deployment.promote(delivery_project.production)
    assert read_pointer(delivery_project.production.environment) is None
    challenge(delivery_project.staging)
    assert deployment.promote(delivery_project.production).changed


def test_a_smoke_test_counts_only_for_what_is_live_since(challenged: DeliveryProject) -> None:
    deployment.rollback(challenged.staging)
    with pytest.raises(UserError, match="v1 was not smoke tested"):
        deployment.promote(challenged.production)


def deploy_another(project: DeliveryProject) -> None:
    deployment.deploy(project.staging, "v1")


def retire_it(project: DeliveryProject) -> None:
    retire(project.staging, "v2", "its data was wrong")


def fail_its_smoke_test(project: DeliveryProject) -> None:
    with project.staging.ledger.appending() as session:
        session.append("smoke", environment="staging", version="v2", details={"passed": False})


@pytest.mark.parametrize(
    ("meanwhile", "sentence"),
    [
        (deploy_another, "v2 is not live in staging"),
        (retire_it, "v2 was retired"),
        (fail_its_smoke_test, "v2 failed its smoke test in staging"),
    ],
)
def test_a_proof_that_ends_during_a_promotion_is_none(
    meanwhile: Callable[[DeliveryProject], None],
    sentence: str,
    challenged: DeliveryProject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prove = deployment.prove_here

    def slowly(*arguments: Any, **options: Any) -> SmokeReport:
        report = prove(*arguments, **options)
        meanwhile(challenged)
        return report

    monkeypatch.setattr(deployment, "prove_here", slowly)
    with pytest.raises(UserError, match=sentence):
        deployment.promote(challenged.production, "v2")
    assert read_pointer(challenged.production.environment).version == "v1"
    assert history.live(challenged.production.rows, "production").version == "v1"


def test_a_smoke_test_of_a_version_is_none_of_another(challenged: DeliveryProject) -> None:
    project = Project(challenged.root)
    rows = challenged.staging.rows
    told = project.champion("smoke", "v1", "--env", "staging", check=False)
    assert told.returncode == 1
    assert "staging serves v2, not v1" in told.stderr
    told = project.champion("smoke", "v2", "--env", "production", "--or-roll-back", check=False)
    assert "production serves v1, not v2" in told.stderr
    assert challenged.staging.rows == rows
    assert "v2 passed its smoke test in staging" in project.champion("smoke", "v2", "--env", "staging").stdout


def test_an_emergency_needs_a_reason_and_nothing_else(delivery_project: DeliveryProject) -> None:
    delivery_project.use_result("weak")
    register(delivery_project.staging)
    with pytest.raises(UserError, match="needs a reason"):
        deployment.promote(delivery_project.production, "v1", emergency=True)
    row = deployment.promote(delivery_project.production, "v1", emergency=True, reason="the old one is wrong").row
    assert (row.reason, row.details["emergency"], row.details["smoke"]["passed"]) == (
        "the old one is wrong",
        True,
        True,
    )
    assert standing.champion(delivery_project.production.rows) == "v1"


def test_deploying_what_is_live_changes_nothing_but_heals_its_files(promoted: DeliveryProject) -> None:
    before = promoted.staging.rows
    row = read_pointer(promoted.staging.environment)
    promoted.staging.store.write(f"{row.model_sha256}/model.skops", b"rotten")
    with pytest.raises(UserError, match="not the file that was deployed"):
        read_model(promoted.staging.environment, row)

    assert not deployment.deploy(promoted.staging, "v1").changed

    assert read_model(promoted.staging.environment, row)
    assert promoted.staging.rows == before


def test_rollback_goes_back_step_by_step_and_says_when_there_is_no_more(delivery_project: DeliveryProject) -> None:
    for result in ("weak", "strong", "same"):
        delivery_project.use_result(result)
        version, _ = register(delivery_project.staging)
        deployment.deploy(delivery_project.staging, version.name)
    assert deployment.rollback(delivery_project.staging).row.version == "v2"
    again = deployment.rollback(delivery_project.staging)
    assert (again.row.version, again.changed) == ("v2", False)
    assert "`--to v1` goes further" in again.note
    proof.smoke_test(delivery_project.staging)
    assert deployment.rollback(delivery_project.staging).row.version == "v1"
    with delivery_project.staging.ledger.appending() as session:
        session.append("smoke", environment="staging", version="v1", details={"passed": True})
    with pytest.raises(UserError, match="no earlier version to go back to: v1 is its first"):
        deployment.rollback(delivery_project.staging)
    assert deployment.rollback(delivery_project.staging, "v3").row.version == "v3"
    with pytest.raises(UserError, match="never live in production"):
        deployment.rollback(delivery_project.production, "v3")
    with pytest.raises(UserError, match="no version 'v9'"):
        deployment.rollback(delivery_project.staging, "v9")


def test_a_model_that_answers_otherwise_is_not_promoted(challenged: DeliveryProject) -> None:
    challenged.edit_thresholds("row_latency_ms: 0.000001")
    with pytest.raises(
        UserError, match=r"the smoke test of v2 in production failed: one row of model.onnx takes .* has not changed"
    ):
        deployment.promote(challenged.production)
    assert read_pointer(challenged.production.environment).version == "v1"
    last = challenged.production.rows[-1]
    assert (last.action, last.environment, last.version, last.details["passed"]) == ("smoke", "production", "v2", False)
    assert history.smoke(challenged.production.rows, "production") is None


@pytest.fixture
def rolled_back(promoted_twice: DeliveryProject) -> DeliveryProject:
    """Version v2 failed its smoke test in production, which rolled back to v1 by itself."""
    production = promoted_twice.production
    production.store.write(f"{production.resolve('v2').model_sha256}/model.skops", b"spoilt")
    told = Project(promoted_twice.root).champion("smoke", "--env", "production", "--or-roll-back", check=False)
    assert "production serves v1 instead of v2" in told.stdout
    return promoted_twice


FINDING = r"v2 has an open finding: it was rolled back automatically in production \(ledger row 12: smoke test failed: "


def test_a_version_that_failed_in_production_is_promoted_again_once_it_is_cleared(rolled_back: DeliveryProject) -> None:
    project = Project(rolled_back.root)
    # Its wins and its smoke test in staging are as they were: nothing else speaks against it.
    rows = rolled_back.production.rows
    with rolled_back.staging.ledger.appending() as session:
        session.append("challenge", version="v2", details={"promoted": True})
    with pytest.raises(UserError, match=FINDING):
        deployment.promote(rolled_back.production)
    assert read_pointer(rolled_back.production.environment).version == "v1"
    assert json.loads(project.champion("versions", "--json").stdout)[1]["open_findings"] == [11, 12]
    assert "row 11, row 12" in project.champion("versions").stdout
    findings = json.loads(project.champion("show", "v2").stdout)["open_findings"]
    assert findings == [asdict(row) for row in rows[10:12]]

    assert "v2 may be promoted again" in project.champion("clear", "v2", "--reason", "a broken disk").stdout

    cleared = rolled_back.production.rows[-1]
    assert (cleared.action, cleared.version, cleared.reason, cleared.environment) == (
        "clear",
        "v2",
        "a broken disk",
        None,
    )
    assert deployment.promote(rolled_back.production).changed
    assert json.loads(project.champion("show", "v2").stdout)["open_findings"] == []


def test_an_emergency_names_the_open_findings_in_its_row(rolled_back: DeliveryProject) -> None:
    row = deployment.promote(rolled_back.production, "v2", emergency=True, reason="v1 is worse").row
    failed, back = row.details["open_findings"]
    assert failed.startswith("it failed its smoke test in production (ledger row 11: ")
    assert back.startswith("it was rolled back automatically in production (ledger row 12: ")


def test_a_rollback_that_a_person_decides_on_leaves_no_finding(promoted_twice: DeliveryProject) -> None:
    deployment.rollback(promoted_twice.production, reason="too many false alarms")
    assert findings_of(promoted_twice.production, promoted_twice.production.rows, "v2") == []


def test_only_a_finding_can_be_cleared_and_only_with_a_reason(delivery_project: DeliveryProject) -> None:
    register(delivery_project.staging)
    with pytest.raises(UserError, match="v1 has no open finding, so there is nothing to clear"):
        clear(delivery_project.production, "v1", "why not")
    with pytest.raises(UserError, match="add --reason"):
        clear(delivery_project.production, "v1", "  ")
    assert len(delivery_project.staging.rows) == 1


def test_the_same_model_is_the_same_version(on_each_database: DeliveryProject) -> None:
    first, new = register(on_each_database.staging)
    again, new_again = register(on_each_database.staging)
    assert (new, new_again, again) == (True, False, first)
    details = on_each_database.staging.rows[0].details
    assert details["window"]["parts"][2]["rows"] == 14
    assert details["params"]["train"]["estimator"] == "logistic_regression"
    assert details["metrics"]["roc_auc"] > 0.5
    assert set(details["lineage"]) > {"data/prepared/at_split", "models/model.skops", "models/rehearsed.skops"}
    assert len(details["environment_lock_sha256"]) == 64


def test_only_what_the_lock_vouches_for_is_registered(delivery_project: DeliveryProject) -> None:
    delivery_project.use_result("strong")
    (delivery_project.root / "metrics/evaluation.json").write_text('{"roc_auc": 0.99}')
    with pytest.raises(UserError, match=r"metrics/evaluation.json: it differs from dvc.lock"):
        register(delivery_project.staging)
    (delivery_project.root / "dvc.lock").write_text("[]")
    with pytest.raises(UserError, match=r"dvc.lock: not a DVC file"):
        register(delivery_project.staging)
    assert delivery_project.staging.rows == []


def test_a_version_remembers_whether_all_was_committed(delivery_project: DeliveryProject) -> None:
    committed, _ = register(delivery_project.staging)
    delivery_project.copy_result("strong")
    other, _ = register(delivery_project.staging)
    assert (committed.dirty, other.dirty) == (False, True)
    assert committed.git_commit is not None
    told = Project(delivery_project.root).champion("reproduce", "v2", check=False)
    assert told.stderr.startswith("error: v2 cannot be made again: its files were not committed at its registration")


def test_a_version_of_before_is_still_readable(delivery_project: DeliveryProject) -> None:
    register(delivery_project.staging)
    row = delivery_project.staging.rows[0]
    old = {key: value for key, value in row.details.items() if key not in ("dirty", "lineage")}
    version = Version.of(replace(row, details=old))
    assert (version.dirty, version.lineage) == (None, {})


def test_a_version_loads_by_name_and_by_alias(promoted: DeliveryProject) -> None:
    names = ("v1", "champion", "staging", "production")
    assert {promoted.production.load_model(name).manifest.base_rate for name in names} == {
        promoted.staging.load_model("v1").manifest.base_rate
    }
    with pytest.raises(UserError, match="no version is 'challenger' now"):
        promoted.production.load_model("challenger")


def test_a_model_is_loaded_as_the_docs_say(promoted: DeliveryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(promoted.root)
    page = (REPOSITORY / "docs/delivery.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], names)  # noqa: S102
    assert names["model"].manifest.base_rate == promoted.production.load_model("v1").manifest.base_rate


def test_a_version_is_ready_when_the_registry_has_it_whole_and_it_answers(delivery_project: DeliveryProject) -> None:
    version, _ = register(delivery_project.staging)
    assert proof.ready(delivery_project.staging, "v1")[1].passed
    with pytest.raises(UserError, match="no version is 'champion' now"):
        proof.ready(delivery_project.staging, "champion")
    delivery_project.staging.files.write(version.key("examples.json"), b"{}")
    with pytest.raises(UserError, match="is not the file that was registered"):
        proof.ready(delivery_project.staging, "v1")


def test_a_file_that_is_not_the_registered_one_is_not_loaded(delivery_project: DeliveryProject) -> None:
    version, _ = register(delivery_project.staging)
    delivery_project.staging.files.write(version.key("model.skops"), b"another")
    with pytest.raises(UserError, match="is not the file that was registered"):
        delivery_project.staging.load_model("v1")
    with pytest.raises(UserError, match="is not the file that was registered"):
        deployment.deploy(delivery_project.staging, "v1")


def test_status_history_and_audit_say_what_is_where(in_state: InState) -> None:
    staged = in_state("staged")
    deployment.promote(staged.production, emergency=True, reason="it cannot wait")

    def champion(*arguments: str) -> str:
        return Project(staged.root).champion(*arguments).stdout

    lines = {line.split()[0]: line.split() for line in champion("status").splitlines()}
    assert lines["staging"][1] == "v1"
    assert lines["staging"][4] == "passed"
    assert lines["production"][4:6] == ["not", "run"]
    told = [line.split()[2:5] for line in champion("history", "--env", "production").splitlines()[1:]]
    assert told[0][:2] == ["register", "v1"]
    assert told[1:] == [["challenge", "v1", "won"], ["promote,", "EMERGENCY", "v1"]]
    assert "production served v1" in champion("history", "--env", "production", "--at", datetime.now(UTC).isoformat())
    assert "served nothing at 2020-01-01" in champion("history", "--env", "production", "--at", "2020-01-01")
    assert "no difference" in champion("audit")
    assert "champion, staging, production" in champion("versions")
    assert json.loads(champion("show", "production"))["version"] == "v1"


def test_what_is_printed_as_a_table_is_printed_as_json(promoted: DeliveryProject) -> None:
    project = Project(promoted.root)

    def answer(*arguments: str) -> Any:
        return json.loads(project.champion(*arguments, "--json").stdout)

    [staging, production] = [answer("status", "--env", name)[0] for name in ("staging", "production")]
    assert (staging["version"], staging["smoke_passed"], production["smoke_passed"]) == ("v1", True, None)
    [version] = answer("versions")
    assert version["aliases"] == ["champion", "staging", "production"]
    assert version["metrics"]["roc_auc"] > 0.5
    rows = [asdict(row) for row in promoted.staging.rows if row.environment != "production"]
    assert answer("history", "--env", "staging") == rows
    deployed = next(row for row in rows if row["action"] == "deploy")
    assert answer("history", "--env", "staging", "--at", deployed["time"]) == deployed
    assert answer("history", "--at", "2020-01-01") is None


def test_status_fails_when_an_environment_cannot_be_read(
    delivery_project: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHAMPION_STORE_URL")
    project = Project(delivery_project.root)
    told = project.champion("status", check=False)
    assert told.returncode == 1
    assert [line.split()[:2] for line in told.stdout.splitlines()[1:]] == [
        ["development", "none"],
        ["test", "none"],
        ["staging", "?"],
        ["production", "?"],
    ]
    assert "CHAMPION_STORE_URL is not set" in told.stdout
    assert told.stderr.startswith("error: staging and production cannot be read.")
    assert project.champion("status", "--env", "test").returncode == 0


def test_an_empty_table_says_where_it_looked_and_what_fills_it(delivery_project: DeliveryProject) -> None:
    project = Project(delivery_project.root)
    ledger = delivery_project.staging.ledger.address
    for command, fill in (
        ("versions --env staging", "register --env staging"),
        ("history --env production", "register --env production"),
    ):
        told = project.champion(*command.split()).stdout
        assert f"{command.split()[-1]} (its ledger is {ledger}). `champion {fill}`" in told
        assert json.loads(project.champion(*command.split(), "--json").stdout) == []


def test_rollback_and_status_never_load_the_heavy_libraries(promoted_twice: DeliveryProject) -> None:
    code = (
        "import sys\nfrom champion.cli.main import app\n"
        "for arguments in (['status'], ['deploy', 'v1', '--env', 'staging'], ['deploy', 'v2', '--env', 'staging'],"
        " ['smoke', '--env', 'staging'], ['rollback', '--env', 'staging']):\n"
        "    app(arguments, standalone_mode=False)\n"
        "print([name for name in ('sklearn', 'pandas', 'polars', 'numpy', 'mlflow') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=promoted_twice.root, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-2:] == ["staging serves v1 instead of v2 (rollback, ledger row 14)", "[]"]
