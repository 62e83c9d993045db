"""The performance of what an environment answered lately, or of what a version would have answered."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import polars as pl

from champion.core.errors import NotFoundError
from champion.core.layout import PARAMS
from champion.core.strict_yaml import Sections, read
from champion.delivery.recent_rows import answer, open_scorer, read_recent
from champion.monitoring.performance import OBSERVED_EXPECTED, READ, Performance, measure_performance
from champion.params import Challenge, Monitoring
from champion.pipeline.evaluate.params import Evaluate
from champion.predictions.log import PredictionLog
from champion.registry import history
from champion.registry.registry import Registry
from champion.registry.versions import Version
from champion.table.window import Length, offset, shift


class PerformanceParams(Sections):
    """The sections of params.yaml that say what is recent, which metric counts, and how to draw resamples."""

    monitoring: Monitoring = Monitoring()
    challenge: Challenge = Challenge()
    evaluate: Evaluate


def read_params(registry: Registry) -> PerformanceParams:
    """These sections of params.yaml. Raises `UserError` when they are not valid."""
    return read(PerformanceParams, registry.environment.root / PARAMS)


def measure_recent_performance(
    registry: Registry, version: Version, since: date | None, until: date | None, origin: str
) -> list[Performance]:
    """The performance of each version and variant in the rows of `origin`, which is as in `read_recent`.

    The rows are those of the days from `since` on and before `until`. If neither is given, and unless `origin` is a
    file, those count whose label became known during the last `monitoring.window`, and what is expected is said of the
    last window. Of the source, only rows count whose label the version's model did not know when it was made. Raises
    `UserError` when the rows cannot be read.
    """
    params = read_params(registry)
    known = None
    if origin in ("log", "source") and since is None and until is None:
        known = read_matured(registry, version, origin, params.monitoring.window)
        tomorrow = _today() + timedelta(days=1)
        since, until = shift(tomorrow, params.monitoring.window, -1), tomorrow
    recent = pl.concat(part.select(READ) for part in _read_parts(registry, version, since, until, origin))
    versions = history.versions(registry.rows)
    return measure_performance(
        recent.drop_nulls("label") if known is None else known,
        recent.filter(pl.col("label").is_null()),
        {name: one.metrics.get(OBSERVED_EXPECTED) for name, one in versions.items()},
        params.monitoring.min_rows,
        params.evaluate,
    )


def read_matured(registry: Registry, version: Version, origin: str, window: Length) -> pl.DataFrame:
    """The rows, from "log" or "source", whose label became known during the last window, with the columns of `READ`.

    A label becomes known a horizon after its row, however long that is. The window ends today, or when the log's events
    are known no further.
    """
    return pl.concat(part.select(READ) for part in _matured(registry, version, origin, window))


def answer_matured(registry: Registry, version: Version, origin: str, window: Length) -> pl.DataFrame:
    """The same rows as the version's model answers them, even where another version did, if it learned from none.

    So a version can be measured long before the first of its own answers has a label. Rows of a version that read fewer
    features are left out, as the model would have to answer them without the others.
    """
    unseen, scorer = _unseen(version), open_scorer(registry, version)
    names = [feature.name for feature in scorer.features]
    read = {name: {one["name"] for one in other.features} for name, other in history.versions(registry.rows).items()}
    complete = [name for name, found in read.items() if found.issuperset(names)]
    parts = []
    for part in _matured(registry, version, origin, window):
        rows = part.filter(unseen & pl.col("version").is_in(complete))
        is_own = pl.col("version") == version.name
        own, others = rows.filter(is_own), rows.filter(~is_own)
        answers = answer(version, scorer, others.select(names))
        parts += [own.select(READ), others.select("label").hstack(answers).select(READ)]
    return pl.concat(parts)


def known_until(registry: Registry, origin: str) -> date | None:
    """The date at which the last labels became known; None while nobody said that a log has all events of some time."""
    if origin != "log":
        return _today()
    log = PredictionLog.open(registry.environment)
    try:
        through = log.complete_through()
    finally:
        log.close()
    return None if through is None else min(through + timedelta(days=1), _today())


def watched_version(registry: Registry) -> Version:
    """The version that the environment serves, else the newest one. Raises `NotFoundError` when none is registered."""
    live = history.live(registry.rows, registry.environment.name)
    if live is not None:
        return registry.resolve(str(live.version))
    newest = next(reversed(history.versions(registry.rows)), None)
    if newest is None:
        raise NotFoundError(
            f"the registry of {registry.environment.name} has no version. Register one with `champion register`."
        )
    return registry.resolve(newest)


def _matured(registry: Registry, version: Version, origin: str, window: Length) -> Iterator[pl.DataFrame]:
    end = known_until(registry, origin)
    if end is None:
        # Its columns, without rows.
        yield from _read_parts(registry, version, _today(), _today(), origin)
        return
    begin, horizon = shift(end, window, -1), _horizon(version)
    # A month back and forth may end a few days off.
    days = timedelta(days=4)
    first, last = shift(begin, horizon, -1) - days, shift(end, horizon, -1) + days
    for part in _read_parts(registry, version, first, last, origin):
        yield part.filter(pl.col("label").is_not_null() & (_known(version) > begin) & (_known(version) <= end))


def _read_parts(
    registry: Registry, version: Version, since: date | None, until: date | None, origin: str
) -> Iterator[pl.DataFrame]:
    """The rows of `read_recent`; of the source without those that the version's model learned from."""
    for part in read_recent(registry, version, since, until, origin):
        yield part.filter(_unseen(version)) if origin == "source" else part


def _unseen(version: Version) -> pl.Expr:
    """Whether the version's model did not know the label of a row when it was made."""
    made = version.params.get("as_of")
    if made is None:
        return pl.lit(True)
    day = date.fromisoformat(str(made))
    return (_known(version) > day) | (pl.col("day") >= day)


def _known(version: Version) -> pl.Expr:
    """The date from which the label of a row is known."""
    return pl.col("day").dt.offset_by(offset(_horizon(version)))


def _horizon(version: Version) -> Length:
    horizon: Length = version.params["label"].get("horizon") or 0
    return horizon


def _today() -> date:
    return datetime.now(UTC).date()
