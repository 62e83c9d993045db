"""The drift of an environment's recent rows from what a version's model was made of."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import pairwise, takewhile
from typing import Any

import polars as pl

from champion.core.errors import ConflictError
from champion.core.layout import PARAMS
from champion.core.strict_yaml import Sections, read
from champion.delivery.recent_rows import read_recent
from champion.monitoring.drift import SCORE_NAME, Drift, DriftCounts, count_periods
from champion.monitoring.joint import JointDrift, RowSample, measure_joint_drift
from champion.params import Monitoring
from champion.registry.registry import Registry
from champion.registry.versions import REFERENCE_FILE, REFERENCE_ROWS_FILE, Version
from champion.serving.overview import Drifting, DriftPeriod
from champion.table.features import parse_features, treat
from champion.table.window import shift

# So many windows are shown over time.
PERIODS = 12


class MonitoringParams(Sections):
    """The section of params.yaml that monitoring reads."""

    monitoring: Monitoring = Monitoring()


@dataclass(frozen=True)
class RecentDrift:
    """The drift of the rows of `origin` from `since` on and before `until`; None is no limit.

    `joint` is None if there is none, and `no_joint` then says why.
    """

    version: str
    environment: str
    origin: str
    since: date | None
    until: date | None
    drift: Drift
    joint: JointDrift | None
    no_joint: str | None


def read_monitoring(registry: Registry) -> Monitoring:
    """The section `monitoring` of params.yaml. Raises `UserError` when it is not valid."""
    return read(MonitoringParams, registry.environment.root / PARAMS).monitoring


def read_reference(registry: Registry, version: Version) -> dict[str, Any]:
    """The version's drift reference. Raises `ConflictError` when it has none, or its file was changed."""
    if REFERENCE_FILE not in version.files:
        raise ConflictError(
            f"{version.name} was registered by an older release and has no {REFERENCE_FILE}, which rows are compared "
            "with. Choose a newer version."
        )
    reference: dict[str, Any] = json.loads(registry.read_file(version, REFERENCE_FILE))
    return reference


def choose_origin(registry: Registry) -> str:
    """Where recent rows are read from by default: the log where the environment has one, else the source."""
    return "source" if registry.environment.settings.predictions_url is None else "log"


def choose_window(
    origin: str, since: date | None, until: date | None, params: Monitoring
) -> tuple[date | None, date | None]:
    """What is recent where a limit is missing: the last `monitoring.window`, today included, but all rows of a file."""
    if origin not in ("log", "source"):
        return since, until
    until = datetime.now(UTC).date() + timedelta(days=1) if until is None else until
    return shift(until, params.window, -1) if since is None else since, until


def measure_drift_over_time(registry: Registry, version: Version, ended: Callable[[], bool]) -> Drifting:
    """The PSI of what the version answered in each of the last twelve `monitoring.window`, as the log has it.

    It reads the log, which takes long. When `ended` says so, it reads no further. Raises `UserError` when the log or
    the version's reference cannot be read.
    """
    params, features = read_monitoring(registry), [one.name for one in parse_features(version.features)]
    told = partial(Drifting, datetime.now(UTC).isoformat(timespec="seconds"), version.name, params.min_rows)
    if REFERENCE_FILE not in version.files:
        return told([], [])
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    ends = [shift(tomorrow, params.window, -times) for times in range(PERIODS, -1, -1)]
    parts = takewhile(lambda _: not ended(), read_recent(registry, version, ends[0], ends[-1], "log"))
    counts = count_periods(read_reference(registry, version), features, version.name, parts, ends)
    periods = []
    for (first, end), one in zip(pairwise(ends), counts, strict=True):
        last, psi = end - timedelta(days=1), one.psi()
        enough = one.rows >= params.min_rows
        shown = {name: value if enough else None for name, value in psi.items()}
        periods.append(DriftPeriod(first.isoformat(), last.isoformat(), one.rows, shown))
    highest = {name: max(one.psi[name] or 0 for one in periods) for name in periods[-1].psi}
    return told(sorted(highest, key=lambda name: (name != SCORE_NAME, -highest[name], name)), periods)


def measure_recent_drift(
    registry: Registry, version: Version, since: date | None, until: date | None, origin: str
) -> RecentDrift:
    """The drift of the rows of the days from `since` on and before `until`, as `read_recent` reads them from `origin`.

    Raises `UserError` when the version has no drift reference, or the rows cannot be read.
    """
    params, features = read_monitoring(registry), parse_features(version.features)
    counts = DriftCounts(read_reference(registry, version), [one.name for one in features], version.name)
    sample = RowSample([one.name for one in features])
    for part in read_recent(registry, version, since, until, origin):
        counts.add(part)
        sample.add(part)
    drift, joint, reason = counts.drift(params), None, None
    if REFERENCE_ROWS_FILE not in version.files:
        reason = f"{version.name} was registered by an older release, which kept no rows of the drift reference"
    else:
        rows = pl.read_parquet(io.BytesIO(registry.read_file(version, REFERENCE_ROWS_FILE)))
        joint = measure_joint_drift(treat(rows, features), sample.rows, params)
        reason = "there are too few rows" if joint is None else None
    return RecentDrift(version.name, registry.environment.name, origin, since, until, drift, joint, reason)
