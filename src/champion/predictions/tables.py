"""The tables of the prediction log. All texts of time sort as the moments do."""

from dataclasses import dataclass

import sqlalchemy as sa


@dataclass(frozen=True)
class Tables:
    """The tables: what was answered, the day of each event, and up to which day all events are known."""

    metadata: sa.MetaData
    predictions: sa.Table
    outcomes: sa.Table
    completeness: sa.Table

    @property
    def with_outcomes(self) -> sa.Join:
        """What was answered, with the day of each row's event where there is one."""
        answered, said = self.predictions.c, self.outcomes.c
        same = [answered[name] == said[name] for name in ("environment", "request_id", "row")]
        return self.predictions.outerjoin(self.outcomes, sa.and_(*same))


def make_tables() -> Tables:
    """The tables in SQLAlchemy."""
    metadata = sa.MetaData()
    return Tables(
        metadata,
        sa.Table(
            "predictions",
            metadata,
            # With these, a row that is shipped again is known, and rows of one time lie together.
            sa.Column("time", sa.Text, primary_key=True),
            sa.Column("worker", sa.Text, primary_key=True),
            sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("environment", sa.Text, nullable=False),
            sa.Column("request_id", sa.Text, nullable=False, index=True),
            sa.Column("user", sa.Text),
            sa.Column("version", sa.Text, nullable=False),
            sa.Column("variant", sa.Text),
            sa.Column("probability", sa.Double),
            sa.Column("decision", sa.Boolean),
            sa.Column("out_of_scope", sa.Text),
            sa.Column("features", sa.Text, nullable=False),
            sqlite_with_rowid=False,
        ),
        sa.Table(
            "outcomes",
            metadata,
            sa.Column("environment", sa.Text, primary_key=True),
            sa.Column("request_id", sa.Text, primary_key=True),
            sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("day", sa.Text),
            sa.Column("time", sa.Text, nullable=False),
        ),
        sa.Table(
            "completeness",
            metadata,
            sa.Column("environment", sa.Text, primary_key=True),
            sa.Column("through", sa.Text, nullable=False),
            sa.Column("time", sa.Text, nullable=False),
        ),
    )
