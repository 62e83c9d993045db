"""Attacks on the ledger with write access to its database, its head or a store: each is seen, and stays seen."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from champion.core.errors import ConflictError, UserError
from champion.delivery import deployment, proof
from champion.delivery.audit import differences
from champion.delivery.register import register
from champion.registry import history, standing
from champion.registry.actor import actor
from champion.registry.chain import HEAD, Row
from champion.registry.served import read_pointer
from champion.registry.signing import VARIABLE, new_key
from champion.tracking import registry_sync
from support.delivery import DeliveryProject, InState
from support.project import Project

Attack = Callable[[DeliveryProject], None]


@pytest.fixture
def delivered(in_state: InState) -> DeliveryProject:
    """Two versions, the second live in staging: five rows."""
    return in_state("both deployed, tested")


def database(project: DeliveryProject) -> Path:
    return project.root.parent / "ledger.db"


def execute(project: DeliveryProject, *statements: str) -> None:
    engine = sa.create_engine(f"sqlite:///{database(project)}", poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def without_triggers(project: DeliveryProject, *statements: str) -> None:
    """What an attacker does who tidies up: the triggers are there again when it is done."""
    engine = sa.create_engine(f"sqlite:///{database(project)}", poolclass=sa.NullPool)
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
        for name, _ in found:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.exec_driver_sql(statement)
        for _, sql in found:
            connection.exec_driver_sql(sql)


def rewrite(project: DeliveryProject, row: Row) -> None:
    """Put a row with a hash that fits in the place of one."""
    row = dataclasses.replace(row, hash=dataclasses.replace(row, hash="").computed_hash())
    without_triggers(
        project,
        f"UPDATE ledger SET actor = '{row.actor}', hash = '{row.hash}' WHERE sequence = {row.sequence}",  # noqa: S608
    )


def delete_last_rows(project: DeliveryProject) -> None:
    without_triggers(project, "DELETE FROM ledger WHERE sequence > 3")


def rewrite_last_row(project: DeliveryProject) -> None:
    rewrite(project, dataclasses.replace(project.staging.rows[-1], actor="eve"))


def put_an_older_copy_back(project: DeliveryProject) -> None:
    copy = database(project).with_suffix(".copy")
    shutil.copy(database(project), copy)
    with project.staging.ledger.appending() as session:
        session.append("challenge", version="v2")
    shutil.copy(copy, database(project))


def remove_head(project: DeliveryProject) -> None:
    project.staging.files.remove(HEAD)


def spoil_head(project: DeliveryProject) -> None:
    project.staging.files.write(HEAD, b'{"sequence": "five"}')


def drop_trigger(project: DeliveryProject) -> None:
    execute(project, "DROP TRIGGER ledger_refuses_UPDATE")


def alter_trigger(project: DeliveryProject) -> None:
    execute(
        project,
        "DROP TRIGGER ledger_refuses_UPDATE",
        "CREATE TRIGGER ledger_refuses_UPDATE BEFORE UPDATE ON ledger BEGIN SELECT 1; END",
    )


def add_trigger(project: DeliveryProject) -> None:
    """No row is appended from now on, and no command would notice."""
    execute(project, "CREATE TRIGGER quiet BEFORE INSERT ON ledger BEGIN SELECT RAISE(IGNORE); END")


ATTACKS: dict[str, tuple[Attack, str]] = {
    "deleted rows": (delete_last_rows, "the ledger ends at row 3, but the registry knows row 5"),
    "a rewritten last row": (rewrite_last_row, "ledger row 5 differs from what the registry knows"),
    "an older copy": (put_an_older_copy_back, "the ledger ends at row 5, but the registry knows row 6"),
    "a missing head": (remove_head, "is missing"),
    "an unreadable head": (spoil_head, "ledger-head.json in the registry is unreadable"),
    "a dropped trigger": (drop_trigger, "the triggers by which the database refuses"),
    "an altered trigger": (alter_trigger, "the triggers by which the database refuses"),
    "a trigger that drops rows": (add_trigger, "the triggers by which the database refuses"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_break_is_seen_until_a_person_accepts_it(delivered: DeliveryProject, name: str) -> None:
    attack, sentence = ATTACKS[name]
    attack(delivered)
    assert any(sentence in found for found in differences(delivered.staging))
    before = delivered.staging.rows
    commands: list[Callable[[], object]] = [
        lambda: deployment.deploy(delivered.staging, "v1"),
        lambda: proof.smoke_test(delivered.staging),
        lambda: deployment.rollback(delivered.staging),
        lambda: registered(delivered, "same"),
    ]
    for command in commands:
        with pytest.raises(ConflictError, match="no command writes to it"):
            command()
    assert delivered.staging.rows == before
    assert any(sentence in found for found in differences(delivered.staging)), "an ordinary command hid it"

    row = delivered.staging.ledger.accept_breaks("restored by hand, incident 7")

    assert any(sentence in found for found in row.details["breaks"])
    assert delivered.staging.ledger.breaks() == []
    deployment.deploy(delivered.staging, "v1")
    assert differences(delivered.staging) == []
    assert history.events(delivered.staging.rows, "production")[-1].reason == "restored by hand, incident 7"


def registered(project: DeliveryProject, result: str) -> object:
    project.use_result(result)
    return register(project.staging)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_emergency_goes_back_over_a_break_and_records_it(delivered: DeliveryProject, name: str) -> None:
    attack, sentence = ATTACKS[name]
    attack(delivered)
    before = len(delivered.staging.rows)
    with pytest.raises(UserError, match="needs a reason"):
        deployment.rollback(delivered.staging, emergency=True, reason=" \u200b")
    row = deployment.rollback(delivered.staging, emergency=True, reason="v2 is wrong").row
    assert (row.action, row.version, row.is_emergency) == ("rollback", "v1", True)
    assert read_pointer(delivered.staging.environment).version == "v1"
    if name != "a trigger that drops rows":
        added = delivered.staging.rows[before:]
        assert any(sentence in found for row in added for found in row.details["breaks"])
    assert delivered.staging.ledger.breaks(), "the break is still open"


def test_an_accepted_edit_covers_no_further_edit_of_the_same_row(delivered: DeliveryProject) -> None:
    without_triggers(delivered, "UPDATE ledger SET reason = 'harmless' WHERE sequence = 2")
    delivered.staging.ledger.accept_breaks("I was there")
    assert differences(delivered.staging) == []
    without_triggers(delivered, "UPDATE ledger SET actor = 'eve' WHERE sequence = 2")
    assert "ledger row 2 was edited" in delivered.staging.ledger.breaks()[0]


def insert_accept_row(project: DeliveryProject, breaks: list[str]) -> None:
    """What a role that may insert can do: append a row that fits, as if a person had accepted these breaks."""
    last = project.staging.rows[-1]
    forged = dataclasses.replace(
        last, sequence=6, action="accept-break", details={"breaks": breaks}, previous_hash=last.hash, hash=""
    )
    engine = sa.create_engine(f"sqlite:///{database(project)}", poolclass=sa.NullPool)
    values = dataclasses.asdict(forged) | {"hash": forged.computed_hash(), "details": json.dumps({"breaks": breaks})}
    with engine.begin() as connection:
        connection.execute(sa.table("ledger", *map(sa.column, values)).insert().values(values))


def test_a_row_that_somebody_inserts_accepts_nothing(delivered: DeliveryProject) -> None:
    without_triggers(delivered, "UPDATE ledger SET actor = 'eve' WHERE sequence = 2")
    [edit] = delivered.staging.ledger.breaks()
    insert_accept_row(delivered, [edit])
    inserted = "ledger row 6 accepts breaks, but ledger-head.json in the registry does not know this row"
    assert delivered.staging.ledger.breaks() == [edit, inserted]
    deployment.rollback(delivered.staging, emergency=True, reason="v2 is wrong")
    assert delivered.staging.ledger.breaks() == [edit, inserted], "an emergency accepts nothing either"
    assert delivered.staging.ledger.accept_breaks("eve was here").details["breaks"] == [edit, inserted]
    assert differences(delivered.staging) == []


def test_a_row_that_accepts_a_later_break_is_seen_before_it_can(delivered: DeliveryProject) -> None:
    insert_accept_row(delivered, ["ledger row 2 was edited"])
    with pytest.raises(ConflictError, match="ledger row 6 accepts breaks, but"):
        proof.smoke_test(delivered.staging)


def test_a_sound_ledger_has_nothing_to_accept(delivered: DeliveryProject) -> None:
    with pytest.raises(ConflictError, match="has no break"):
        delivered.staging.ledger.accept_breaks("to be sure")


def test_a_head_that_is_older_and_in_the_chain_is_no_break(delivered: DeliveryProject) -> None:
    second = delivered.staging.rows[1]
    head = {"sequence": second.sequence, "hash": second.hash}
    delivered.staging.files.write(HEAD, json.dumps(head).encode())
    assert differences(delivered.staging) == []
    deployment.deploy(delivered.staging, "v1")
    assert delivered.staging.ledger.head.read() == (6, delivered.staging.rows[-1].hash)


def test_another_database_starts_no_ledger_where_the_registry_knows_of_one(
    delivered: DeliveryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAMPION_DATABASE_URL", f"sqlite:///{tmp_path}/ledgre.db")
    files = delivered.staging.files
    for break_ in ("the ledger ends at row 0, but the registry knows row 5", "has files of versions"):
        before = files.keys()
        with pytest.raises(ConflictError, match=break_):
            registered(delivered, "same")
        with pytest.raises(UserError):
            deployment.deploy(delivered.staging, "v1")
        assert any(break_ in found for found in differences(delivered.staging))
        assert not (tmp_path / "ledgre.db").exists()
        assert files.keys() == before
        files.remove(HEAD)


def forge_pointer(project: DeliveryProject, **changes: object) -> None:
    """What write access to staging's store allows: any content, with a hash that fits."""
    row = read_pointer(project.staging.environment)
    row = dataclasses.replace(row, **changes)
    row = dataclasses.replace(row, hash=row.computed_hash())
    project.staging.store.write("current.json", row.as_json())


def test_a_forged_pointer_forges_no_actor_time_or_challenge(delivered: DeliveryProject) -> None:
    first = history.versions(delivered.staging.rows)["v1"]
    forge_pointer(
        delivered,
        action="challenge",
        version="v1",
        model_sha256=first.model_sha256,
        actor="cfo\x1b[2J",
        time="2020-01-01T00:00:00+00:00",
        reason="x" * 10_000,
        details={"promoted": True},
    )
    deployment.deploy(delivered.staging, "v2")
    repair = delivered.staging.rows[-2]
    assert (repair.action, repair.version, repair.from_version) == ("repair", "v1", "v2")
    assert repair.actor == actor()
    assert repair.time > delivered.staging.rows[-3].time
    assert repair.details["pointer"]["actor"] == "cfo\x1b[2J"
    assert len(repair.details["pointer"]["reason"]) == 200
    assert standing.champion(delivered.staging.rows) is None
    assert differences(delivered.staging) == []


def test_a_repair_crowns_nobody_and_brings_back_a_champion_of_before() -> None:
    def row(sequence: int, action: str, version: str, **details: bool) -> Row:
        return Row(sequence, "", "ada", action, "production", version, details=details)

    rows = [
        row(1, "challenge", "v1", promoted=True),
        row(2, "promote", "v1"),
        row(3, "challenge", "v2", promoted=True),
        row(4, "promote", "v2"),
    ]
    assert standing.champion([*rows, row(5, "repair", "v3")]) == "v2"
    assert standing.champion([*rows, row(5, "repair", "v1")]) == "v1"


def test_status_believes_a_pointer_in_what_is_served_alone(delivered: DeliveryProject) -> None:
    forge_pointer(delivered, actor="cfo", time="2020-01-01T00:00:00+00:00")
    told = Project(delivered.root).champion("status", "--env", "staging").stdout
    assert "v2" in told
    assert "differs from the ledger" in told
    assert "cfo" not in told
    assert "2020" not in told


def test_control_characters_of_a_row_are_printed_as_escapes(
    delivered: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_ACTOR", "eve\r\x1b[1A")
    deployment.rollback(delivered.staging, reason="fine\x1b]0;owned\x07\u202e")
    project = Project(delivered.root)
    for command in (
        "history --env staging",
        "status --env staging",
        "history --env staging --at 2026-01-01",
        "show v1",
        "rollback --env staging",
    ):
        told = project.champion(*command.split())
        assert not any(ord(c) < 32 and c != "\n" for c in told.stdout + told.stderr), command
        assert "\u202e" not in told.stdout, command
    told = project.champion("history", "--env", "staging").stdout
    assert r"fine\x1b]0;owned\x07\u202e" in told
    assert r"eve\r\x1b[1A" in told


@pytest.mark.parametrize("reason", ["", "  ", "\t\n", "\u200b\u00a0"])
def test_a_blank_reason_is_refused_wherever_one_is_asked_for(delivered: DeliveryProject, reason: str) -> None:
    project, rows = Project(delivered.root), delivered.staging.rows
    for command in (
        "rollback --env staging",
        "rollback --env staging --emergency",
        "promote v1 --env production --emergency",
        "accept-break --env staging",
    ):
        told = project.champion(*command.split(), "--reason", reason, check=False)
        assert told.returncode == 2, command
        assert "blank" in told.stderr, command
    with pytest.raises(UserError, match="blank"):
        deployment.rollback(delivered.staging, reason=reason)
    assert delivered.staging.rows == rows
    assert read_pointer(delivered.staging.environment).version == "v2"


def test_the_actor_is_the_systems_user_unless_github_actions_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_ACTOR"):
        monkeypatch.delenv(name, raising=False)
    mine = actor()
    for name in ("GITHUB_ACTOR", "LOGNAME", "USER"):
        monkeypatch.setenv(name, "cfo")
    assert actor() == mine
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert actor() == "cfo"


def test_an_emergency_goes_back_while_the_database_cannot_be_reached(
    delivered: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{database(delivered)}"
    monkeypatch.setenv("CHAMPION_DATABASE_URL", "postgresql+psycopg://ada:hunter2@127.0.0.1:1/none")
    with pytest.raises(UserError, match="cannot be used"):
        deployment.rollback(delivered.staging)
    done = deployment.rollback(delivered.staging, emergency=True, reason="v2 is wrong")
    assert (done.row.version, done.changed) == ("v1", True)
    assert not deployment.rollback(delivered.staging, emergency=True, reason="v2 is wrong").changed
    assert read_pointer(delivered.staging.environment).version == "v1"
    assert "hunter2" not in str(done)

    monkeypatch.setenv("CHAMPION_DATABASE_URL", url)
    deployment.deploy(delivered.staging, "v2")
    repair = delivered.staging.rows[-2]
    assert (repair.action, repair.version, repair.from_version) == ("repair", "v1", "v2")
    assert (repair.details["pointer"]["action"], repair.details["pointer"]["reason"]) == ("rollback", "v2 is wrong")
    assert differences(delivered.staging) == []


def sign(project: DeliveryProject, *public: str) -> None:
    """Let staging and production know these public keys."""
    file = project.root / "config/environments.yaml"
    keys = f"ledger_public_keys: [{', '.join(public)}]"
    lines = [line for line in file.read_text().splitlines() if "ledger_public_keys" not in line]
    indented = [f"    {keys}\n{line}" if line.strip().startswith("database_url: ${") else line for line in lines]
    file.write_text("\n".join(indented) + "\n")


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """The public key of the pair that signs."""
    private, public = new_key()
    monkeypatch.setenv(VARIABLE, private)
    return public


@pytest.fixture
def signed(delivery_project: DeliveryProject, key: str) -> DeliveryProject:
    """Two versions, the second live in staging: four rows, each signed."""
    for result in ("weak", "strong"):
        delivery_project.use_result(result)
        sign(delivery_project, key)
        register(delivery_project.staging)
        deployment.deploy(delivery_project.staging, "challenger")
    return delivery_project


def test_rows_are_signed_and_verified_where_there_is_a_key(key: str, signed: DeliveryProject) -> None:
    assert {row.signed_by for row in signed.staging.rows} == {key}
    assert differences(signed.staging) == []
    assert deployment.rollback(signed.staging).changed


def test_a_command_without_the_key_or_with_another_writes_nothing(
    signed: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = signed.staging.rows
    private, _ = new_key()
    for value, sentence in (("", "is not set"), (private, "may not write"), ("hunter2", "is not a private key")):
        monkeypatch.setenv(VARIABLE, value)
        with pytest.raises(UserError, match=sentence) as caught:
            deployment.rollback(signed.staging)
        assert not value or value not in str(caught.value)
    assert signed.staging.rows == rows
    assert differences(signed.staging) == []


def test_a_forged_chain_of_one_who_has_no_key_is_a_break_even_with_a_forged_head(
    key: str, signed: DeliveryProject
) -> None:
    last = signed.staging.rows[-1]
    _, other = new_key()
    for signed_by, signature, sentence in (
        (None, None, "ledger row 4 (.*) is not signed, and rows before it are"),
        (key, last.signature, "is signed by no key"),
        (other, last.signature, "is signed by no key"),
        (key, "x", "is signed by no key"),
    ):
        forged = dataclasses.replace(last, actor="eve", signed_by=signed_by, signature=signature)
        forged = dataclasses.replace(forged, hash=forged.computed_hash())
        values = f"signed_by = {quoted(signed_by)}, signature = {quoted(signature)}, hash = '{forged.hash}'"
        without_triggers(signed, f"UPDATE ledger SET actor = 'eve', {values} WHERE sequence = 4")  # noqa: S608
        signed.staging.files.write(HEAD, json.dumps({"sequence": 4, "hash": forged.hash}).encode())
        with pytest.raises(ConflictError, match=sentence):
            deployment.rollback(signed.staging)


def quoted(text: str | None) -> str:
    return "NULL" if text is None else f"'{text}'"


def test_signing_begins_with_a_row_that_accepts_those_before(
    delivered: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = new_key()
    monkeypatch.setenv(VARIABLE, private)
    with pytest.raises(UserError, match=f"Add its public key {public.replace('+', '[+]')}"):
        deployment.rollback(delivered.staging)
    sign(delivered, public)
    with pytest.raises(ConflictError, match="no row of the ledger is signed"):
        deployment.rollback(delivered.staging)
    delivered.staging.ledger.accept_breaks("signing begins")
    assert deployment.rollback(delivered.staging).row.signed_by == public
    assert differences(delivered.staging) == []
    # Whoever removes the signed rows is back where signing must begin.
    without_triggers(delivered, "DELETE FROM ledger WHERE sequence > 5")
    last = delivered.staging.rows[-1]
    delivered.staging.files.write(HEAD, json.dumps({"sequence": 5, "hash": last.hash}).encode())
    assert delivered.staging.ledger.breaks() == [
        "no row of the ledger is signed, and `ledger_public_keys` has a key: accept this where signing begins"
    ]


def test_a_key_pair_is_made_and_the_private_key_is_shown_nowhere(
    delivered: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(delivered.root)
    told = project.champion("ledger-key").stdout
    file = delivered.root / "var/ledger.key"
    private = file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert private not in told
    public = told.splitlines()[0].split()[-1]
    assert "a key is never overwritten" in project.champion("ledger-key", check=False).stderr
    sign(delivered, public)
    monkeypatch.setenv(VARIABLE, private)
    told = project.champion("accept-break", "--env", "staging", "--reason", "signing begins").stdout
    assert told.startswith("ledger row 6 accepts:\n  no row of the ledger is signed")
    assert "breaks accepted in row 6" in project.champion("audit").stdout


def test_a_public_key_that_is_none_is_refused_and_not_shown(delivered: DeliveryProject) -> None:
    sign(delivered, "hunter2")
    told = Project(delivered.root).champion("audit", check=False).stderr
    assert "ledger_public_keys" in told
    assert "hunter2" not in told


def test_the_mirror_in_mlflow_knows_the_head(
    delivered: DeliveryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = delivered.staging.rows[-1]
    assert registry_sync.wrong_head({registry_sync.HEAD: f"5 {head.hash}"}, delivered.staging.rows) is None
    assert registry_sync.wrong_head({}, delivered.staging.rows) is None
    for told in ("6 abc", f"4 {head.hash}", "nonsense", "5"):
        assert "MLflow knows of ledger row" in registry_sync.wrong_head(
            {registry_sync.HEAD: told}, delivered.staging.rows
        )
