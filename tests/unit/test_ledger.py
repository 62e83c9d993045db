from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from champion.core.errors import UserError
from champion.databases import public_address
from champion.registry import history
from champion.registry.chain import ORIGIN, Row, breaks
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
    assert breaks(ledger.rows(), ledger.head()) == []


def test_a_block_that_raises_appends_nothing(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.appending() as session:
            session.append("register", version="v1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert ledger.rows() == []
    assert ledger.head() is None


def test_the_database_itself_refuses_an_edit(ledger: Ledger, database_url: str) -> None:
    with ledger.appending() as session:
        session.append("register", version="v1")
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    for statement in ("UPDATE ledger SET actor = 'eve'", "DELETE FROM ledger"):
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
    assert breaks(ledger.rows(), ledger.head()) == [
        "the ledger ends at row 2, the registry knows row 3: rows were removed"
    ]
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ledger SET actor = 'eve' WHERE sequence = 1")
    assert breaks(ledger.rows(), None) == ["ledger row 1 was edited: its hash does not fit its content"]


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
    known = ("files", "metrics", "training", "window", "features", "params")
    content = details | ({name: {} for name in known} if action == "register" else {})
    return Row(sequence, time, "ada", action, environment, version, details=content)


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
    assert [history.champion(rows[:count]) for count in range(len(rows) + 1)] == [
        None, None, "v1", "v1", "v1", "v1", "v1", "v2", "v2", "v1",
    ]  # fmt: skip
    at = {day: history.live_at(rows, "production", datetime(2026, 1, day, 13, tzinfo=UTC)) for day in (2, 3, 8, 9)}
    assert {day: found and found.version for day, found in at.items()} == {2: None, 3: "v1", 8: "v2", 9: "v1"}
    assert history.smoke(rows[:8], "production") == rows[7]
    assert history.smoke(rows, "production") is None
    assert history.stack(rows[:8], "production") == ["v1", "v2"]
    assert history.stack(rows, "production") == ["v1"]
    assert history.aliases(rows, ["staging", "production"]) == {
        "champion": "v1", "challenger": "v2", "staging": "v2", "production": "v1",
    }  # fmt: skip
    assert history.resolve(rows, "production", ["production"]).name == "v1"


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
