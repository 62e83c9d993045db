import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from champion.core.errors import UserError
from champion.databases import public_address, sqlite_file
from champion.registry import history, standing
from champion.registry.chain import FORMAT, HEAD, ORIGIN, Row, breaks
from champion.registry.ledger import Ledger
from champion.registry.stores import Store

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
FIELDS = ("time", "actor", "action", "environment", "version", "from_version", "reason", "git_commit", "model_sha256")


def chain(entries: list[tuple[str, str]]) -> list[Row]:
    rows: list[Row] = []
    for action, version in entries:
        previous = rows[-1].hash if rows else ORIGIN
        row = Row(
            len(rows) + 1, f"2026-01-01T00:00:{len(rows):02}+00:00", "ada", action, "staging", version,
            details={"passed": True, "score": 0.1}, previous_hash=previous,
        )  # fmt: skip
        rows.append(replace(row, hash=row.computed_hash()))
    return rows


rows_of_a_chain = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8).map(chain)


@given(rows_of_a_chain)
def test_a_chain_as_it_was_appended_has_no_break(rows: list[Row]) -> None:
    assert breaks(rows, (len(rows), rows[-1].hash)) == []


@given(rows_of_a_chain, st.data())
def test_an_edit_of_any_field_of_any_row_is_a_break(rows: list[Row], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(FIELDS))
    value = data.draw(TEXT.filter(lambda text: text != getattr(rows[index], field)))
    edited = replace(rows[index], **{field: value})
    assert breaks([*rows[:index], edited, *rows[index + 1 :]], None)
    # A corrected hash does not hide the edit, because the next row or the registry's anchor has the old hash.
    refitted = replace(edited, hash=edited.computed_hash())
    assert breaks([*rows[:index], refitted, *rows[index + 1 :]], (len(rows), rows[-1].hash))


@given(rows_of_a_chain, st.data())
def test_a_removed_row_is_a_break_even_the_last(rows: list[Row], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    assert breaks([*rows[:index], *rows[index + 1 :]], (len(rows), rows[-1].hash))


@given(rows_of_a_chain)
def test_a_row_survives_its_json(rows: list[Row]) -> None:
    assert Row.from_json(rows[-1].as_json()) == rows[-1]
    assert Row.from_json(rows[-1].as_json().replace(b"ada", b"eve")) is None


def test_what_is_not_a_row_is_none() -> None:
    for content in (b"", b"[]", b"{}", b"\xff", b'{"sequence": 1}'):
        assert Row.from_json(content) is None


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Ledger:
    return Ledger(database_url, Store(str(tmp_path / "registry")), "staging")


def test_rows_come_back_as_they_were_appended(ledger: Ledger) -> None:
    assert ledger.rows() == []
    details = {"numbers": [1, 0.1, None], "text": "naïve — ✓ \N{ROCKET}"}
    with ledger.appending() as session:
        first = session.append("register", version="v1", reason="because\nso", details=details)
        second = session.append("deploy", environment="staging", version="v1")
    assert ledger.rows() == [first, second]
    assert (second.previous_hash, first.details) == (first.hash, details)
    assert datetime.now(UTC) - first.when < timedelta(minutes=1)
    assert breaks(ledger.rows(), ledger.head.read()) == []


def test_a_block_that_raises_appends_nothing(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.appending() as session:
            session.append("register", version="v1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert ledger.rows() == []
    assert ledger.head.read() == (0, ORIGIN)
    assert ledger.breaks() == []


def test_the_database_itself_refuses_an_edit(ledger: Ledger, database_url: str) -> None:
    with ledger.appending() as session:
        session.append("register", version="v1")
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    statements = ["UPDATE ledger SET actor = 'eve'", "DELETE FROM ledger"]
    if database_url.startswith("sqlite"):
        columns = "sequence, time, actor, action, details, previous_hash, hash"
        row = "'now', 'eve', 'register', '{}', '', ''"
        statements += [
            f"INSERT OR REPLACE INTO ledger ({columns}) VALUES (1, {row})",  # noqa: S608
            f"REPLACE INTO ledger (rowid, {columns}) VALUES (1, 9, {row})",  # noqa: S608
        ]
    else:
        statements.append("TRUNCATE ledger")
    for statement in statements:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
            connection.exec_driver_sql(statement)
    assert [row.version for row in ledger.rows()] == ["v1"]


def test_an_edit_past_the_triggers_is_found(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/l.db", Store(str(tmp_path / "registry")), "staging")
    for version in ("v1", "v2", "v3"):
        with ledger.appending() as session:
            session.append("register", version=version)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/l.db", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_refuses_UPDATE")
        connection.exec_driver_sql("DROP TRIGGER ledger_refuses_DELETE")
        connection.exec_driver_sql("DELETE FROM ledger WHERE sequence = 3")
    assert breaks(ledger.rows(), ledger.head.read()) == [
        "the ledger ends at row 2, but the registry knows row 3: rows were removed, or the database is another one "
        "or an older copy"
    ]
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ledger SET actor = 'eve' WHERE sequence = 1")
    [found] = breaks(ledger.rows(), None)
    assert re.fullmatch(r"ledger row 1 was edited: its content gives \w{12}, not \w{12}", found)


OLD_ROWS = Path(__file__).parents[1] / "support/ledger_without_format.sql"
OLD_HEAD = (5, "d13527f5fbc5fb8f9f4776fbeb32337153bc331f06373d503e7870a88057af2c")


@pytest.fixture
def old_ledger(tmp_path: Path) -> Ledger:
    """A ledger of before rows had a format, with its head."""
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.executescript(OLD_ROWS.read_text(encoding="utf-8"))
    store = Store(str(tmp_path / "registry"))
    store.write(HEAD, json.dumps({"sequence": OLD_HEAD[0], "hash": OLD_HEAD[1]}).encode())
    return Ledger(f"sqlite:///{tmp_path}/old.db", store, "staging")


def test_rows_of_before_are_read_verified_and_continued(old_ledger: Ledger) -> None:
    old = old_ledger.rows()
    assert [(row.action, row.format) for row in old] == [
        (action, None) for action in ("register", "challenge", "deploy", "smoke", "rollback")
    ]
    assert old_ledger.breaks() == []
    assert Row.from_json(old[-1].as_json()) == old[-1]
    assert b"format" not in old[-1].as_json()
    with old_ledger.appending() as session:
        session.append("smoke", environment="staging", version="v1", details={"passed": True})
    *kept, new = old_ledger.rows()
    assert (kept, new.format, new.previous_hash) == (old, FORMAT, OLD_HEAD[1])
    assert old_ledger.breaks() == []


def test_an_edit_of_a_row_of_before_is_found_after_it_was_continued(old_ledger: Ledger, tmp_path: Path) -> None:
    with old_ledger.appending() as session:
        session.append("smoke", environment="staging", version="v1")
    engine = sa.create_engine(f"sqlite:///{tmp_path}/old.db", poolclass=sa.NullPool)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql("INSERT OR REPLACE INTO ledger SELECT * FROM ledger WHERE sequence = 2")
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_refuses_UPDATE")
        connection.exec_driver_sql("UPDATE ledger SET format = 2 WHERE sequence = 2")
    assert [found.partition(":")[0] for found in old_ledger.breaks()] == [
        "ledger row 2 was edited",
        "the triggers by which the database refuses to change the ledger were removed or altered",
    ]


def test_a_row_of_a_later_format_is_told_as_such(old_ledger: Ledger) -> None:
    later = replace(old_ledger.rows()[-1], sequence=6, previous_hash=OLD_HEAD[1], format=3)
    assert (
        "has the format 3, which this version of champion cannot read" in breaks([*old_ledger.rows(), later], None)[0]
    )


@pytest.mark.parametrize("details", ["", "[]", "NaN", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 100_000, "{"])
def test_details_that_are_none_are_a_break(old_ledger: Ledger, tmp_path: Path, details: str) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/old.db", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_refuses_UPDATE")
        connection.exec_driver_sql("UPDATE ledger SET details = ? WHERE sequence = 2", (details,))
    assert "ledger row 2 was edited" in old_ledger.breaks()[0]


def test_a_sqlite_url_with_options_reads_and_writes(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/a.db?timeout=30", f"sqlite+pysqlite:///{tmp_path}/b.db"):
        ledger = Ledger(url, Store(str(tmp_path / url.partition(":")[0])), "staging")
        assert ledger.rows() == []
        assert list(tmp_path.glob("*.db*")) == []
        with ledger.appending() as session:
            row = session.append("register", version="v1")
        assert ledger.rows() == [row]
        sqlite_file(url).unlink()


def test_a_role_that_may_read_and_insert_is_enough_and_can_change_nothing(postgresql_url: str, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    grants = page.partition("```sql\n")[2].partition("```")[0]
    name = f"writer_{tmp_path.name[-20:]}"
    store = Store(str(tmp_path / "registry"))
    with Ledger(postgresql_url, store, "staging").appending() as session:
        session.append("register", version="v1")
    owner = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with owner.begin() as connection:
        database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        for statement in (
            grants.replace("champion_writer", name).replace("DATABASE champion", f'DATABASE "{database}"').split(";")
        ):
            if statement.strip():
                connection.exec_driver_sql(statement)
    url = sa.make_url(postgresql_url).set(username=name).render_as_string(hide_password=False)
    ledger = Ledger(url, store, "staging")
    with ledger.appending() as session:
        session.append("deploy", environment="staging", version="v1")
    assert ledger.breaks() == []
    writer = sa.create_engine(url, poolclass=sa.NullPool)
    for statement in (
        "UPDATE ledger SET actor = 'eve'",
        "DELETE FROM ledger",
        "TRUNCATE ledger",
        "DROP TABLE ledger",
        "ALTER TABLE ledger DISABLE TRIGGER ALL",
        "DROP TRIGGER ledger_refuses ON ledger",
        "CREATE OR REPLACE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "INSERT INTO ledger SELECT * FROM ledger ON CONFLICT (sequence) DO UPDATE SET actor = 'eve'",
        "SET session_replication_role = replica",
    ):
        with pytest.raises(sa.exc.DBAPIError, match=r"denied|must be owner"), writer.begin() as connection:
            connection.exec_driver_sql(statement)
    assert len(ledger.rows()) == 2
    store.remove(HEAD)
    ledger.accept_breaks("the head was lost")
    assert ledger.breaks() == []
    for change in (
        "ALTER TABLE ledger DISABLE TRIGGER ALL",
        "DROP TRIGGER ledger_refuses ON ledger",
        "CREATE OR REPLACE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "CREATE RULE quiet AS ON INSERT TO ledger DO INSTEAD NOTHING",
    ):
        with owner.begin() as connection:
            connection.exec_driver_sql(change)
        assert "the triggers by which the database refuses" in ledger.breaks()[0], change
        with pytest.raises(UserError, match="lacks a permission"):
            ledger.accept_breaks("a maintenance")
        Ledger(postgresql_url, store, "staging").accept_breaks("a maintenance")
        assert ledger.breaks() == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql+psycopg://ada:hunter2@127.0.0.1:1/none", "the database of staging cannot be used"),
        ("nonsense:hunter2", "database_url of staging: not a usable SQLAlchemy URL"),
        ("oracle+nothing://ada:hunter2@host/x", "database_url of staging: not a usable SQLAlchemy URL"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_without_its_address(
    url: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        Ledger(url, Store(str(tmp_path)), "staging").rows()
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_text("not a database, but long enough to be taken for one " * 20)
    with pytest.raises(UserError, match="the database of staging cannot be used"):
        Ledger(f"sqlite:///{tmp_path}/l.db", Store(str(tmp_path)), "staging").rows()


def row(sequence: int, action: str, version: str, environment: str | None = None, **details: bool) -> Row:
    time = f"2026-01-{sequence:02}T12:00:00+00:00"
    known = ("metrics", "training", "window", "features", "params")
    registered = {name: {} for name in known} | {"files": {"model.skops": version}} if action == "register" else {}
    return Row(sequence, time, "ada", action, environment, version, model_sha256=version, details=details | registered)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql+psycopg://someone:se/c?r-et@host:5432/base?password=secret",
            "postgresql+psycopg://host:5432/base",
        ),
        ("sqlite:////home/a@b/ledger.db", "sqlite:////home/a@b/ledger.db"),
    ],
)
def test_the_address_of_a_ledger_shows_no_secret(url: str, shown: str) -> None:
    assert public_address(url) == shown


def test_rows_answer_who_served_when_and_who_is_champion() -> None:
    rows = [
        row(1, "register", "v1"),
        row(2, "challenge", "v1", promoted=True),
        row(3, "promote", "v1", "production"),
        row(4, "register", "v2"),
        row(5, "challenge", "v2", promoted=False),
        row(6, "deploy", "v2", "staging"),
        row(7, "promote", "v2", "production"),
        row(8, "smoke", "v2", "production", passed=False),
        row(9, "rollback", "v1", "production"),
    ]
    assert [standing.champion(rows[:count]) for count in range(len(rows) + 1)] == [
        None, None, "v1", "v1", "v1", "v1", "v1", "v2", "v2", "v1",
    ]  # fmt: skip
    at = {day: history.live_at(rows, "production", datetime(2026, 1, day, 13, tzinfo=UTC)) for day in (2, 3, 8, 9)}
    assert {day: found and found.version for day, found in at.items()} == {2: None, 3: "v1", 8: "v2", 9: "v1"}
    assert history.smoke(rows[:8], "production") == rows[7]
    assert history.smoke(rows, "production") is None
    assert history.stack(rows[:8], "production") == ["v1", "v2"]
    assert history.stack(rows, "production") == ["v1"]
    assert standing.aliases(rows, ["staging", "production"]) == {
        "champion": "v1", "challenger": "v2", "staging": "v2", "production": "v1",
    }  # fmt: skip
    assert standing.resolve(rows, "production", ["production"]).name == "v1"


@pytest.mark.parametrize("action", ["promote", "rollback", "repair"])
def test_a_retired_version_is_neither_champion_nor_challenger_again(action: str) -> None:
    rows = [
        row(1, "register", "v1"),
        row(2, "challenge", "v1", promoted=True),
        row(3, "promote", "v1", "production"),
        row(4, "register", "v2"),
        row(5, "challenge", "v2", promoted=True),
        row(6, "promote", "v2", "production"),
        row(7, "retire", "v1"),
        row(8, action, "v1", "production"),
        row(9, "register", "v3"),
        row(10, "retire", "v3"),
    ]
    assert [standing.champion(rows[:count]) for count in (6, 7, 8)] == ["v2", "v2", "v2"]
    assert standing.retirements(rows) == {"v1": rows[6], "v3": rows[9]}
    assert standing.aliases(rows, ["production"]) == {"champion": "v2", "production": "v1"}
    rows.append(row(11, "retire", "v2"))
    assert standing.aliases(rows, ["production"]) == {"production": "v1"}
    with pytest.raises(UserError, match="no version is 'champion' now"):
        standing.resolve(rows, "champion", ["production"])


def test_an_environments_events_tell_results_and_emergencies_and_leave_out_other_environments() -> None:
    rows = [
        row(1, "register", "v1"),
        row(2, "challenge", "v1", promoted=True),
        row(3, "deploy", "v1", "staging"),
        row(4, "smoke", "v1", "staging", passed=True),
        row(5, "promote", "v1", "production", emergency=False),
        row(6, "smoke", "v1", "production", passed=True),
        row(7, "challenge", "v2", promoted=False),
        row(8, "promote", "v2", "production", emergency=True),
        row(9, "smoke", "v2", "production", passed=False),
    ]
    found = history.events(rows, "production")
    assert [(event.sequence, event.action, event.result, event.is_emergency) for event in found] == [
        (1, "register", None, False),
        (2, "challenge", "won", False),
        (5, "promote", None, False),
        (6, "smoke", "passed", False),
        (7, "challenge", "lost", False),
        (8, "promote", None, True),
        (9, "smoke", "FAILED", False),
    ]


@pytest.mark.parametrize(("text", "sentence"), [("noon", "is not a time"), ("2999-01-01", "is in the future")])
def test_a_time_that_is_none_or_to_come_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        history.moment(text)
