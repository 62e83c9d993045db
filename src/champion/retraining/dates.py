"""The dates of retrainings: of the newest data, and of what was trained last."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from champion.core.errors import ConflictError
from champion.core.layout import PARAMS
from champion.core.strict_yaml import read
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.stage import newest_date
from champion.registry import history
from champion.registry.chain import Row
from champion.table.window import Period, shift


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


def after_newest(work: Path, judged: date | None) -> date:
    """The day after the newest row of the source, but not after today; without newer rows, the day before."""
    params, now = read(IngestParams, work / PARAMS), today()
    if params.as_of is None:
        raise ConflictError(
            f"{PARAMS}: the table has no column with the role date, so nobody knows which rows are new. Use "
            "`dvc repro`, `champion register` and `champion challenge`."
        )
    since = judged or params.as_of
    newest = newest_date(params, Period(since, now + timedelta(days=1)), work) if since <= now else None
    return since if newest is None else min(shift(newest, "1d", 1), now)


def last_judged(rows: Sequence[Row]) -> date | None:
    """The latest date of a version that was challenged, or of a model that the gate refused; None without one.

    A version that is only registered is none: its retraining may have been killed.
    """
    versions = history.versions(rows)
    judged = {str(row.version) for row in rows if row.action == "challenge"}
    days = [versions[name].params.get("as_of") for name in judged]
    days += [row.details.get("as_of") for row in rows if row.action == history.RETRAIN]
    return max((date.fromisoformat(str(day)) for day in days if day is not None), default=None)
