"""An API key is shown once, and what is kept of it lets nobody call the server."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from champion.core.errors import ConflictError, NotFoundError, UserError
from champion.delivery import deployment
from champion.delivery.audit import differences
from champion.delivery.keys import add, revoke
from champion.registry import history
from champion.registry.api_keys import ApiKeys
from champion.registry.chain import Row
from champion.registry.served import KEYS
from support.delivery import DeliveryProject, InState
from support.project import Project


def valid(project: DeliveryProject) -> ApiKeys:
    """The keys as a server reads them from the store."""
    row = Row.from_json(project.staging.store.read(KEYS) or b"")
    assert row is not None
    assert row.details["keys"] == history.api_keys(project.staging.rows, "staging")
    return ApiKeys.parse(row.details["keys"])


def test_several_keys_are_valid_until_each_is_revoked(on_each_database: DeliveryProject) -> None:
    project = on_each_database
    first, second = (add(project.staging, name)[1] for name in ("loans-app", "nightly.batch_2"))
    keys = valid(project)
    assert [keys.name_of(key) for key in (first, second)] == ["loans-app", "nightly.batch_2"]
    assert [keys.name_of(key) for key in ("", first[:-1], first + "a", first.upper(), "é\ud800")] == [None] * 5
    row = revoke(project.staging, "loans-app", "it leaked")
    assert (row.action, row.environment, row.reason) == ("key-revoke", "staging", "it leaked")
    keys = valid(project)
    assert [keys.name_of(key) for key in (first, second)] == [None, "nightly.batch_2"]
    assert add(project.staging, "loans-app")[1] != first
    assert history.api_keys(project.production.rows, "production") == {}
    assert differences(project.staging) == []


def test_a_key_is_nowhere_in_ledger_store_or_output(delivery_project: DeliveryProject, tmp_path: Path) -> None:
    project = Project(delivery_project.root)
    done = project.champion("keys", "add", "loans-app", "--env", "staging")
    key = done.stdout.removesuffix("\n")
    assert len(key) == 43
    assert done.stderr == "loans-app may call staging; this key is not shown again (ledger row 1)\n"
    assert valid(delivery_project).name_of(key) == "loans-app"
    told = [
        project.champion("keys", "list", "--env", "staging").stdout,
        project.champion("keys", "list", "--env", "staging", "--json").stdout,
        project.champion("history", "--env", "staging", "--json").stdout,
        project.champion("keys", "add", "loans-app", "--env", "staging", check=False).stderr,
        project.champion("keys", "revoke", "loans-app", "--env", "staging").stdout,
    ]
    assert key not in "".join(told)
    sha256 = hashlib.sha256(key.encode()).hexdigest()
    assert [sha256 in one for one in told] == [False, False, True, False, False]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(sha256.encode() in path.read_bytes() for path in files)
    assert [path for path in files if key.encode() in path.read_bytes()] == []


def test_the_list_says_who_added_a_key_and_when(delivery_project: DeliveryProject) -> None:
    project = Project(delivery_project.root)

    def listed(*options: str) -> str:
        return project.champion("keys", "list", "--env", "staging", *options).stdout

    assert listed() == "staging has no key. `champion keys add NAME --env staging` makes one.\n"
    assert json.loads(listed("--json")) == []
    row = add(delivery_project.staging, "loans-app")[0]
    add(delivery_project.staging, "batch")
    assert json.loads(listed("--json"))[1] == {"name": "loans-app", "added": row.time, "by": row.actor}
    assert listed().splitlines()[2].split() == ["loans-app", row.time[:19], row.actor]
    last = project.champion("history", "--env", "staging").stdout.splitlines()[-1].split()
    assert last[2:4] == ["key-add", "batch"]


@pytest.mark.parametrize("name", ["", " ", "-v", "a b", "ä", "a/b", "a\n", "x" * 65])
def test_a_wrong_name_is_refused(delivery_project: DeliveryProject, name: str) -> None:
    with pytest.raises(UserError, match="is no name for a key"):
        add(delivery_project.staging, name)
    assert delivery_project.staging.rows == []


def test_a_name_has_one_key(delivery_project: DeliveryProject) -> None:
    add(delivery_project.staging, "loans-app")
    before = delivery_project.staging.rows
    with pytest.raises(ConflictError, match="staging has a key 'loans-app'"):
        add(delivery_project.staging, "loans-app")
    with pytest.raises(NotFoundError, match=r"staging has no key 'loan-app' \(did you mean `loans-app`\?\)"):
        revoke(delivery_project.staging, "loan-app")
    assert delivery_project.staging.rows == before


def test_a_key_is_refused_when_another_command_was_faster(
    delivery_project: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, faster = secrets.token_urlsafe, []

    def late(size: int) -> str:
        if not faster:
            faster.append("other")
            faster.append(add(delivery_project.staging, "other")[1])
        return token(size)

    monkeypatch.setattr(secrets, "token_urlsafe", late)
    with pytest.raises(ConflictError, match="another command was faster in staging: key-add, by "):
        add(delivery_project.staging, "loans-app")
    assert valid(delivery_project).name_of(faster[1]) == "other"
    assert len(delivery_project.staging.rows) == 1


@pytest.mark.parametrize("content", ["another's", None, "{"])
def test_keys_that_somebody_wrote_to_the_store_are_written_again(
    delivery_project: DeliveryProject, content: str | None
) -> None:
    row, _ = add(delivery_project.staging, "loans-app")
    store = delivery_project.staging.store
    store.remove(KEYS)
    if content is not None:
        keys: Any = {"loans-app": {"sha256": "0" * 64, "added": row.time}}
        forged = Row(**{**row.content(), "details": {"name": "loans-app", "keys": keys}, "hash": ""})
        forged = Row(**{**forged.content(), "hash": forged.computed_hash()})
        store.write(KEYS, forged.as_json() if content == "another's" else content.encode())
    [difference] = differences(delivery_project.staging)
    assert "keys.json: it is not the ledger's last row about the API keys of staging" in difference
    with pytest.raises(NotFoundError):
        revoke(delivery_project.staging, "nobody")
    assert store.read(KEYS) == row.as_json()
    assert differences(delivery_project.staging) == []


def test_keys_of_an_edited_ledger_reach_no_store(in_state: InState, tmp_path: Path) -> None:
    project = in_state("both deployed")
    row, key = add(project.staging, "loans-app")
    details = json.dumps({"name": "loans-app", "keys": {"loans-app": {"sha256": "0" * 64, "added": row.time}}})
    engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.db", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_refuses_UPDATE")
        connection.exec_driver_sql(f"UPDATE ledger SET details = '{details}' WHERE action = 'key-add'")  # noqa: S608
    with pytest.raises(ConflictError, match="cannot be trusted"):
        revoke(project.staging, "loans-app")
    assert deployment.rollback(project.staging, emergency=True, reason="v2 is wrong").changed
    stored = Row.from_json(project.staging.store.read(KEYS) or b"")
    assert stored is not None
    assert ApiKeys.parse(stored.details["keys"]).name_of(key) == "loans-app"
    with pytest.raises(ConflictError, match="cannot be trusted"):
        add(project.staging, "batch")


def test_a_rollback_is_repeated_once_also_after_a_key_was_added(in_state: InState) -> None:
    project = in_state("both deployed")
    back = deployment.rollback(project.staging).row
    add(project.staging, "loans-app")
    again = deployment.rollback(project.staging)
    assert (again.changed, again.row) == (False, back)
