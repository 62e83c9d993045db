"""The ledger's table: its columns and rows, and the triggers with which the database refuses edits."""

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from champion.core.errors import UnavailableError
from champion.registry.chain import Row, canonical

if TYPE_CHECKING:
    import sqlalchemy as sa

NAME = "ledger"


def _sqlite_trigger(name: str, event: str) -> dict[str, str]:
    """The trigger that refuses the event, by name, in the form that SQLite stores."""
    refusal = "SELECT RAISE(ABORT, 'the ledger is append-only')"
    return {name: f"CREATE TRIGGER {name} BEFORE {event} BEGIN {refusal}; END"}


# A table of the first format has only these.
_SQLITE = _sqlite_trigger("ledger_refuses_UPDATE", "UPDATE ON ledger") | _sqlite_trigger(
    "ledger_refuses_DELETE", "DELETE ON ledger"
)
# INSERT OR REPLACE deletes a row without calling the DELETE trigger. Each row also has a rowid, besides its key.
_SQLITE_REPLACE = _sqlite_trigger(
    "ledger_refuses_REPLACE",
    "INSERT ON ledger WHEN EXISTS (SELECT 1 FROM ledger WHERE sequence = NEW.sequence OR rowid = NEW.rowid)",
)
_BODY = " BEGIN RAISE EXCEPTION 'the ledger is append-only'; END "
_POSTGRESQL = (
    f"CREATE OR REPLACE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS $${_BODY}$$",
    "CREATE TRIGGER ledger_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger "
    "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses()",
)
# Name, kind (per statement, before update, delete and truncate), enabled, function.
_POSTGRESQL_MADE = [("ledger_refuses", 2 | 8 | 16 | 32, "O", _BODY)]
_POSTGRESQL_FOUND = (
    "SELECT t.tgname::text, t.tgtype::int, t.tgenabled::text, p.prosrc FROM pg_trigger t "
    "JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = 'ledger'::regclass AND NOT t.tgisinternal "
    "UNION ALL SELECT rulename::text, 0, '', definition FROM pg_rules WHERE tablename = 'ledger'"
)


class Table:
    """The table in SQLAlchemy. The command that appends a row creates or updates the table."""

    @cached_property
    def definition(self) -> "sa.Table":
        """The table with the columns of the newest format."""
        import sqlalchemy as sa

        optional = ("environment", "version", "from_version", "reason", "git_commit", "model_sha256")
        return sa.Table(
            NAME,
            sa.MetaData(),
            sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
            *(sa.Column(name, sa.Text, nullable=False) for name in ("time", "actor", "action")),
            *(sa.Column(name, sa.Text) for name in optional),
            *(sa.Column(name, sa.Text, nullable=False) for name in ("details", "previous_hash", "hash")),
            sa.Column("format", sa.Integer),
            *(sa.Column(name, sa.Text) for name in ("signed_by", "signature")),
        )

    def columns(self, connection: "sa.Connection") -> set[str]:
        """The columns of the table in the database; empty if there is no table."""
        import sqlalchemy as sa

        inspector = sa.inspect(connection)
        return {column["name"] for column in inspector.get_columns(NAME)} if inspector.has_table(NAME) else set()

    def read(self, connection: "sa.Connection") -> list[Row]:
        """Every row, oldest first; none if there is no table."""
        present = self.columns(connection)
        if not present:
            return []
        names = [field.name for field in fields(Row) if field.name in present]
        found = connection.exec_driver_sql(f"SELECT {', '.join(names)} FROM {NAME} ORDER BY sequence").mappings()  # noqa: S608
        return [Row(**(dict(row) | {"details": _parsed(row["details"])})) for row in found]

    def insert(self, connection: "sa.Connection", row: Row) -> None:
        """Add the row. Raises `UnavailableError` when the database does not take it."""
        values = asdict(row) | {"details": canonical(row.details)}
        insert = self.definition.insert().values(values).execution_options(preserve_rowcount=True)
        if connection.execute(insert).rowcount != 1:
            raise UnavailableError("the database did not save the ledger row. `champion audit` says more.")

    def prepare(self, connection: "sa.Connection") -> None:
        """Create the table with its triggers, or add what an older table lacks. If complete, it needs no permission."""
        present = self.columns(connection)
        if not present:
            self.definition.create(connection)
            self.restore_triggers(connection)
            return
        lacking = [column for column in self.definition.columns if column.name not in present]
        for column in lacking:
            kind = column.type.compile(connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {NAME} ADD COLUMN {column.name} {kind}")
        if lacking and connection.dialect.name == "sqlite":
            for statement in _SQLITE_REPLACE.values():
                connection.exec_driver_sql(statement)

    def restore_triggers(self, connection: "sa.Connection") -> None:
        """Make the triggers again, and remove all other triggers of the table and PostgreSQL's rules."""
        statements: Iterable[str]
        if connection.dialect.name == "sqlite":
            for name in self._sqlite_triggers(connection):
                quoted = name.replace('"', '""')
                connection.exec_driver_sql(f'DROP TRIGGER "{quoted}"')
            statements = (_SQLITE | _SQLITE_REPLACE).values()
        elif connection.dialect.name == "postgresql":
            for name, kind, *_ in connection.exec_driver_sql(_POSTGRESQL_FOUND).all():
                quoted = name.replace('"', '""')
                connection.exec_driver_sql(f'DROP {"TRIGGER" if kind else "RULE"} "{quoted}" ON {NAME}')
            statements = _POSTGRESQL
        else:
            return
        for statement in statements:
            connection.exec_driver_sql(statement)

    def wrong_triggers(self, connection: "sa.Connection") -> list[str]:
        """One sentence when the triggers of the table are not ours; empty when they are."""
        present = self.columns(connection)
        if not present:
            return []
        if connection.dialect.name == "sqlite":
            right = self._sqlite_triggers(connection) == _SQLITE | (_SQLITE_REPLACE if "format" in present else {})
        elif connection.dialect.name == "postgresql":
            found = [tuple(row) for row in connection.exec_driver_sql(_POSTGRESQL_FOUND)]
            right = found == _POSTGRESQL_MADE
        else:
            return []
        if right:
            return []
        return ["the triggers by which the database refuses to change the ledger were removed or altered"]

    def _sqlite_triggers(self, connection: "sa.Connection") -> dict[str, str]:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = 'ledger'"
        return {str(name): str(sql) for name, sql in connection.exec_driver_sql(query)}


def _parsed(details: Any) -> dict[str, Any]:
    """A row's details; what is no JSON object is kept in one that gives another hash."""
    try:
        content = json.loads(details)
    except (ValueError, TypeError, RecursionError):
        content = None
    return content if isinstance(content, dict) else {"unreadable": str(details)}
