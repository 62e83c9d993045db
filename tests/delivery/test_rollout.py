"""A rollout sends some users to another version, beside the live one, until anything changes the live version."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from champion.core.errors import ConflictError, NotFoundError, UnavailableError, UserError
from champion.delivery import deployment, keys, proof, rollout, switch
from champion.delivery.audit import differences
from champion.delivery.findings import clear, findings_of
from champion.delivery.register import register
from champion.delivery.retire import retire
from champion.delivery.rollout import roll_out, shadow, stop
from champion.delivery.state import State
from champion.delivery.webhook import VARIABLE
from champion.flags import Flags
from champion.registry import history, rollouts
from champion.registry.chain import UNRECORDED, Row
from champion.registry.registry import Registry
from champion.registry.served import ROLLOUT, status_of
from support.delivery import DeliveryProject, InState
from support.project import Project
from support.webhook import Webhook


@pytest.fixture
def project(in_state: InState) -> DeliveryProject:
    """Production serves v1; v2 won against it, and passed in staging."""
    return in_state("promoted, staged")


def active(project: DeliveryProject) -> Row | None:
    return history.active_rollout(project.production.rows, "production")


def stored(registry: Registry) -> Row | None:
    content = registry.store.read(ROLLOUT)
    return None if content is None else Row.from_json(content)


def register_changed(project: DeliveryProject, change: Callable[[dict[str, Any]], object]) -> str:
    """Register v2 once more as v3, with other details."""
    registry = project.staging
    row = history.registration(registry.rows, "v2")
    details = json.loads(json.dumps(dict(row.details)))
    change(details)
    with registry.ledger.appending() as session:
        session.append("register", version="v3", model_sha256=row.model_sha256, details=details)
    return "v3"


def edit_ledger(tmp_path: Path, statement: str) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.db", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_refuses_UPDATE")
        connection.exec_driver_sql(statement)


def test_a_rollout_is_one_row_and_the_same_file(project: DeliveryProject) -> None:
    before = project.production.rows
    done = roll_out(project.production, "v2", 10, reason="the refresh of 2012")
    assert done.changed
    production = project.production
    row = production.rows[-1]
    live = history.live(production.rows, "production")
    assert production.rows == [*before, row]
    assert done.row == row == stored(production) == active(project)
    assert (row.action, row.version, row.from_version, row.reason) == ("rollout", "v2", "v1", "the refresh of 2012")
    assert live is not None
    assert live.version == "v1"
    details = row.details
    assert (details["base"], details["percents"], details["shadow"]) == (live.hash, {"new_model": 10}, None)
    version = production.resolve("v2")
    assert details["versions"] == {"v2": version.models}
    assert all(production.store.holds(version.key(name), sha256) for name, sha256 in version.served.items())
    flags = Flags.parse(details["flags"])
    assert flags.versions == {"v2"}
    flags.close()
    assert differences(production) == []


def test_the_same_rollout_again_changes_nothing_and_heals_its_files(project: DeliveryProject) -> None:
    row = roll_out(project.production, "v2", 10).row
    version = project.production.resolve("v2")
    project.production.store.remove(version.key("model.onnx"))
    assert differences(project.production) != []
    again = roll_out(project.production, "v2", 10)
    assert (again.changed, again.row, active(project)) == (False, row, row)
    assert differences(project.production) == []


def test_flags_and_shadow_are_kept_when_another_one_changes(project: DeliveryProject) -> None:
    roll_out(project.production, "v2", 5, "advanced_preprocessing")
    assert shadow(project.production, "v2").changed
    assert not shadow(project.production, "v2").changed
    row = roll_out(project.production, "v2", 10).row
    assert rollouts.shares(row) == {"advanced_preprocessing": (5, "v2"), "new_model": (10, "v2")}
    assert rollouts.describe(row) == "5% to v2 by advanced_preprocessing, 10% to v2 by new_model, shadow v2"
    assert rollouts.shares(roll_out(project.production, "v2", 20).row)["new_model"] == (20, "v2")


def test_a_flag_that_this_clone_does_not_know_stays_on(project: DeliveryProject) -> None:
    roll_out(project.production, "v2", 5, "advanced_preprocessing")
    path = project.root / "config/flags.json"
    document = json.loads(path.read_text())
    del document["flags"]["advanced_preprocessing"]
    path.write_text(json.dumps(document))
    row = roll_out(project.production, "v2", 10).row
    assert rollouts.shares(row) == {"advanced_preprocessing": (5, "v2"), "new_model": (10, "v2")}


@pytest.mark.parametrize(
    ("state", "version", "end"),
    [
        ("promoted, staged", "v2", lambda project: deployment.promote(project.production)),
        ("promoted twice", "v1", lambda project: deployment.rollback(project.production)),
    ],
    ids=["promotion", "rollback"],
)
def test_a_switch_ends_a_rollout_in_its_one_step(
    in_state: InState, state: str, version: str, end: Callable[[DeliveryProject], object]
) -> None:
    project = in_state(state)
    roll_out(project.production, version, 10)
    before = len(project.production.rows)
    end(project)
    assert len(project.production.rows) == before + 1
    assert active(project) is None
    last = status_of(project.production.environment)
    assert (last.version, last.note) == (version, None)
    assert stop(project.production).changed is False
    assert differences(project.production) == []


def test_a_rollout_ends_when_a_repair_records_another_version(in_state: InState) -> None:
    project = in_state("promoted twice")
    first = next(row for row in project.production.rows if row.action == "promote")
    roll_out(project.production, "v1", 10)
    project.production.store.write("current.json", first.as_json())
    assert not stop(project.production).changed
    assert project.production.rows[-1].action == "repair"
    assert active(project) is None


def test_production_rolls_out_what_it_would_promote(project: DeliveryProject) -> None:
    assert roll_out(project.production, "v2", 10).changed
    deployment.rollback(project.staging)
    before = project.production.rows
    with pytest.raises(ConflictError, match="v2 is not live in staging"):
        roll_out(project.production, "v2", 20)
    with pytest.raises(ConflictError, match="v1 is the live version of production"):
        roll_out(project.production, "production", 10)
    assert project.production.rows == before


def test_a_version_that_was_live_here_needs_no_other_proof(in_state: InState) -> None:
    project = in_state("promoted twice")
    assert roll_out(project.production, "v1", 1).changed
    retire(project.staging, "v1", "wrong labels")
    with pytest.raises(ConflictError, match="v1 was retired"):
        roll_out(project.production, "v1", 2)


def test_where_versions_are_deployed_any_version_is_rolled_out(in_state: InState) -> None:
    project = in_state("both deployed")
    project.use_result("same")
    register(project.staging)
    assert roll_out(project.staging, "v3", 50).changed
    assert deployment.deploy(project.staging, "v1").changed
    assert history.active_rollout(project.staging.rows, "staging") is None


def test_nothing_is_rolled_out_beside_nothing(delivery_project: DeliveryProject) -> None:
    register(delivery_project.staging)
    for command in (
        lambda: roll_out(delivery_project.staging, "v1", 10),
        lambda: shadow(delivery_project.staging, "v1"),
    ):
        with pytest.raises(ConflictError, match="staging serves nothing yet"):
            command()
    with pytest.raises(ConflictError, match="nothing to stop"):
        stop(delivery_project.staging)


def without_onnx(details: dict[str, Any]) -> None:
    del details["files"]["model.onnx"]


def without_age(details: dict[str, Any]) -> None:
    details["features"] = [feature for feature in details["features"] if feature["name"] != "age"]


def with_other_values(details: dict[str, Any]) -> None:
    for feature in details["features"]:
        feature["values"] = ["elsewhere"] if feature["type"] == "category" else None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without_onnx, "v3 was registered by an older release and has no model.onnx"),
        (without_age, "v3 and v1, which production serves, have other fields: age."),
    ],
)
def test_a_version_that_cannot_answer_the_same_requests_is_refused(
    project: DeliveryProject, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    name = register_changed(project, change)
    before = project.production.rows
    for command in (lambda: roll_out(project.production, name, 10), lambda: shadow(project.production, name)):
        with pytest.raises(ConflictError, match=told):
            command()
    assert project.production.rows == before


def test_a_version_may_know_other_values_than_the_live_one(project: DeliveryProject) -> None:
    name = register_changed(project, with_other_values)
    # Only its smoke test sees that these are not the values of its model.
    with pytest.raises(ConflictError, match="the smoke test of v3 in production failed: the features of "):
        shadow(project.production, name)


@pytest.mark.parametrize(
    ("flag", "percent", "told"),
    [
        ("new_modle", 10, r"no flag 'new_modle' in .*config/flags.json \(did you mean `new_model`\?\)"),
        ("new_model", 100.5, "100.5 is no percent of users"),
        ("new_model", 0.001, "more than two decimals"),
    ],
)
def test_a_wrong_flag_or_percent_is_one_sentence_and_changes_nothing(
    project: DeliveryProject, flag: str, percent: float, told: str
) -> None:
    before, keys = project.production.rows, project.production.store.keys()
    with pytest.raises(UserError, match=told):
        roll_out(project.production, "v2", percent, flag)
    assert (project.production.rows, project.production.store.keys()) == (before, keys)


def test_a_shadow_is_any_version_that_passes_its_smoke_test(in_state: InState) -> None:
    project = in_state("promoted")
    project.use_result("strong")
    register(project.staging)
    with pytest.raises(ConflictError, match="v2 is not live in staging"):
        roll_out(project.production, "v2", 10)
    row = shadow(project.production, "v2").row
    assert (row.details["shadow"], row.details["percents"], list(row.details["versions"])) == ("v2", {}, ["v2"])
    project.edit_thresholds("row_latency_ms: 0.000001")
    stop(project.production)
    with pytest.raises(ConflictError, match="the smoke test of v2 in production failed"):
        shadow(project.production, "v2")
    assert [row.action for row in project.production.rows[-2:]] == ["rollout", "smoke"]
    assert active(project) is None


def test_a_stop_ends_flags_and_shadow(project: DeliveryProject) -> None:
    roll_out(project.production, "v2", 10)
    shadow(project.production, "v2")
    done = stop(project.production, "enough seen")
    row = done.row
    assert (done.changed, row.version, row.from_version, row.reason) == (True, "v2", "v1", "enough seen")
    assert row == stored(project.production) == project.production.rows[-1]
    assert active(project) is None
    assert findings_of(project.production, project.production.rows, "v2") == []
    again = stop(project.production)
    assert (again.changed, again.note) == (False, "no rollout is on")
    assert differences(project.production) == []


def test_an_automatic_stop_leaves_a_finding_until_it_is_cleared(project: DeliveryProject) -> None:
    roll_out(project.production, "v2", 10)
    row = stop(project.production, "3 of 100 requests failed", unsound="v2").row
    assert row.details["automatic"] is True
    told = (
        rf"it had its rollout stopped automatically in production \(ledger row {row.sequence}: 3 of 100 requests failed"
    )
    for command in (lambda: deployment.promote(project.production), lambda: roll_out(project.production, "v2", 1)):
        with pytest.raises(ConflictError, match=told):
            command()
    clear(project.production, "v2", "the load balancer was the cause")
    assert roll_out(project.production, "v2", 1).changed


@pytest.mark.parametrize(
    "start", [lambda registry: shadow(registry, "v2"), lambda registry: roll_out(registry, "v2", 0)]
)
def test_an_automatic_stop_leaves_no_finding_on_what_nobody_got(
    project: DeliveryProject, start: Callable[[Registry], object]
) -> None:
    start(project.production)
    assert stop(project.production, unsound="v2").changed
    assert findings_of(project.production, project.production.rows, "v2") == []


def test_a_rollback_is_repeated_once_also_after_a_rollout_was_stopped(in_state: InState) -> None:
    project = in_state("promoted twice")
    back = deployment.rollback(project.production).row
    roll_out(project.production, "v2", 10)
    stop(project.production, unsound="v2")
    again = deployment.rollback(project.production)
    assert (again.changed, again.row) == (False, back)


def test_a_stop_continues_when_the_ledger_is_broken(project: DeliveryProject, tmp_path: Path) -> None:
    roll_out(project.production, "v2", 10)
    edit_ledger(tmp_path, "UPDATE ledger SET reason = 'harmless' WHERE sequence = 1")
    with pytest.raises(ConflictError, match="the ledger was edited, so it proves nothing"):
        roll_out(project.production, "v2", 20)
    row = stop(project.production, "v2 errs").row
    assert (row.details["percents"], row.is_emergency) == ({}, True)
    assert row.details["breaks"][0].startswith("ledger row 1 was edited")
    assert stored(project.production) == row
    assert active(project) is None


def test_a_stop_follows_the_store_when_the_ledger_was_edited(project: DeliveryProject, tmp_path: Path) -> None:
    roll_out(project.production, "v2", 10)
    edit_ledger(tmp_path, "UPDATE ledger SET details = '{}' WHERE action = 'rollout'")
    assert stop(project.production).changed
    row = stored(project.production)
    assert row is not None
    assert not rollouts.is_on(row)


def test_a_broken_ledger_writes_no_rollout_to_the_store(project: DeliveryProject, tmp_path: Path) -> None:
    row = roll_out(project.production, "v2", 10).row
    details = json.dumps({**row.details, "percents": {"new_model": 100}})
    edit_ledger(tmp_path, f"UPDATE ledger SET details = '{details}' WHERE action = 'rollout'")  # noqa: S608
    before = project.production.store.read(ROLLOUT)
    with pytest.raises(ConflictError, match="cannot be trusted"):
        proof.smoke_test(project.production)
    with pytest.raises(ConflictError, match="no earlier version"):
        deployment.rollback(project.production, emergency=True, reason="v1 is wrong")
    assert project.production.store.read(ROLLOUT) == before


def without_ledger(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("CHAMPION_DATABASE_URL", "postgresql+psycopg://x:y@127.0.0.1:1/none")


def test_a_stop_while_the_ledger_is_unreachable_is_recorded_by_the_next_command(project: DeliveryProject) -> None:
    on = roll_out(project.production, "v2", 10).row
    with pytest.MonkeyPatch.context() as patch:
        without_ledger(patch)
        done = stop(project.production, "v2 errs", unsound="v2")
        assert (done.changed, done.row.sequence, done.row.reason) == (True, UNRECORDED, "v2 errs")
        assert stored(project.production) == done.row
        assert not stop(project.production).changed
        with pytest.raises(UnavailableError):
            roll_out(project.production, "v2", 10)
    assert active(project) == on
    assert any("rollout.json: it is not the ledger's last row" in text for text in differences(project.production))
    assert status_of(project.production.environment).note == "its rollout differs from the ledger: run `champion audit`"

    proof.smoke_test(project.production)

    row, _ = project.production.rows[-2:]
    assert (row.action, row.version, row.reason, row.details["automatic"]) == ("rollout", "v2", "v2 errs", True)
    assert row.details["stop"]["hash"] == done.row.hash
    assert stored(project.production) == row
    assert active(project) is None
    assert findings_of(project.production, project.production.rows, "v2") == [row]
    assert differences(project.production) == []


def test_a_stop_works_when_the_database_is_lost(project: DeliveryProject, tmp_path: Path) -> None:
    roll_out(project.production, "v2", 10)
    (tmp_path / "ledger.db").rename(tmp_path / "kept.db")
    assert stop(project.production, "v2 errs").changed
    row = stored(project.production)
    assert row is not None
    assert not rollouts.is_on(row)
    (tmp_path / "kept.db").rename(tmp_path / "ledger.db")
    assert not stop(project.production).changed
    assert project.production.rows[-1].reason == "v2 errs"
    assert differences(project.production) == []


def test_a_stop_wins_against_a_rollout_that_was_faster(
    project: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll_out(project.production, "v2", 10)
    read, faster = rollout.read_state, []

    def read_early(*arguments: Any, **options: Any) -> State:
        state = read(*arguments, **options)
        if not faster:
            faster.append(20)
            roll_out(project.production, "v2", 20)
        return state

    monkeypatch.setattr(rollout, "read_state", read_early)
    assert stop(project.production, "v2 errs").changed
    assert not stop(project.production).changed
    assert active(project) is None
    assert [row.details["percents"] for row in project.production.rows[-2:]] == [{"new_model": 20}, {}]
    assert differences(project.production) == []


@pytest.mark.parametrize("content", [None, b"{", "forged", "stopped and on again"])
def test_a_rollout_that_somebody_wrote_to_the_store_is_written_again(
    project: DeliveryProject, content: bytes | str | None
) -> None:
    row = roll_out(project.production, "v2", 10).row
    store = project.production.store
    if content is None:
        store.remove(ROLLOUT)
    elif isinstance(content, bytes):
        store.write(ROLLOUT, content)
    else:
        forged = replace(row, details={**row.details, "percents": {"new_model": 100}})
        forged = replace(forged, sequence=row.sequence if content == "forged" else UNRECORDED)
        store.write(ROLLOUT, replace(forged, hash=forged.computed_hash()).as_json())
    [difference] = differences(project.production)
    assert "rollout.json: it is not the ledger's last row about the rollout of production" in difference
    assert not deployment.promote(project.production, "v1", emergency=True, reason="only to look").changed
    assert stored(project.production) == row == active(project)
    assert differences(project.production) == []


def test_a_rollout_that_no_row_knows_is_removed(project: DeliveryProject) -> None:
    project.production.store.write(ROLLOUT, b"{}")
    proof.smoke_test(project.production)
    assert project.production.store.read(ROLLOUT) is None


@pytest.mark.parametrize(
    "other",
    [
        lambda project: roll_out(project.production, "v2", 50),
        lambda project: deployment.promote(project.production),
    ],
    ids=["a rollout", "a promotion"],
)
def test_a_rollout_is_refused_when_another_command_was_faster(
    project: DeliveryProject, other: Callable[[DeliveryProject], switch.Switch], monkeypatch: pytest.MonkeyPatch
) -> None:
    prove, faster = rollout.prove_here, []

    def prove_late(*arguments: Any, **options: Any) -> Any:
        if not faster:
            faster.append(None)
            faster[0] = other(project).row
        return prove(*arguments, **options)

    monkeypatch.setattr(rollout, "prove_here", prove_late)
    with pytest.raises(ConflictError, match=r"another command was faster in production: (rollout|promote) of v2, by "):
        roll_out(project.production, "v2", 10)
    assert project.production.rows[-1] == faster[0]
    assert differences(project.production) == []


def test_a_row_that_the_database_does_not_save_leaves_the_old_rollout(
    project: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = roll_out(project.production, "v2", 10).row

    commit = sa.engine.RootTransaction.commit

    def fail_once_it_is_written(transaction: sa.engine.RootTransaction) -> None:
        if stored(project.production) != row:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("disk I/O error"))
        commit(transaction)

    with monkeypatch.context() as patch:
        patch.setattr(sa.engine.RootTransaction, "commit", fail_once_it_is_written)
        with pytest.raises(UnavailableError, match="cannot be used"):
            roll_out(project.production, "v2", 20)
    assert stored(project.production) == row == active(project)
    assert differences(project.production) == []


def test_a_message_says_who_gets_what(project: DeliveryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as webhook:
        monkeypatch.setenv(VARIABLE, webhook.url)
        roll_out(project.production, "v2", 10, reason="the refresh of 2012")
        stop(project.production)
        keys.add(project.production, "loans-app")
    assert [text.partition(", by ")[0] for text in webhook.texts] == [
        "rollout v2 in production beside v1: 10% to v2 by new_model (the refresh of 2012)",
        "rollout v2 in production beside v1: stopped",
        "key-add loans-app in production",
    ]


def test_the_commands_say_who_gets_what(project: DeliveryProject) -> None:
    def champion(*arguments: str, check: bool = True) -> Any:
        return Project(project.root).champion(*arguments, check=check)

    def said(*arguments: str) -> str:
        return champion("rollout", *arguments, "--env", "production").stdout

    assert said("10", "v2") == (
        "production sends 10% of users to v2 by new_model, and all others to v1 (ledger row 10)\n"
    )
    assert "production already sends 10% of users to v2 by new_model, and all others to v1, since " in said("10%", "v2")
    assert said("shadow", "v2") == (
        "production sends 10% of users to v2 by new_model, and all others to v1; v2 scores all rows in the shadow "
        "(ledger row 11)\n"
    )
    line = next(line for line in champion("status").stdout.splitlines() if line.startswith("production"))
    assert line.endswith("10% to v2 by new_model, shadow v2 (ledger row 11)")
    assert said("stop", "--reason", "enough seen") == "production answers everybody with v1 (ledger row 12)\n"
    assert said("stop") == "production has nothing to stop (no rollout is on)\n"
    assert said("shadow", "v2") == (
        "production answers everybody with v1; v2 scores all rows in the shadow (ledger row 13)\n"
    )
    told = champion("history", "--env", "production").stdout.splitlines()
    assert "10% to v2 by new_model, shadow v2" in told[-3]
    assert "stopped" in told[-2]
    assert "production serves v2" in champion("promote", "--env", "production").stdout
    assert said("stop") == "production has nothing to stop (no rollout is on)\n"
    for arguments, sentence in (
        (("10",), "it needs a version, such as `champion rollout 10 v2`"),
        (("stop", "v2"), "Leave the version out"),
        (("stop", "--flag", "new_model"), "Leave --flag out"),
        (("half", "v2"), "'half' is no percent of users, and neither `stop` nor `shadow`"),
        (("10", "v9"), "there is no version 'v9'"),
    ):
        refused = champion("rollout", *arguments, "--env", "production", check=False)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert sentence in refused.stderr


def test_an_unknown_version_is_named(project: DeliveryProject) -> None:
    with pytest.raises(NotFoundError, match="there is no version 'v9' in this registry"):
        shadow(project.production, "v9")
