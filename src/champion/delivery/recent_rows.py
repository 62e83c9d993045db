"""The rows that monitoring looks at: what was answered, what the source has now, or a file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from itertools import chain
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa

from champion.core.errors import ConflictError, NoRowsError, NotFoundError, UserError
from champion.delivery.source_rows import RegisteredParams, read_source, registered_params
from champion.model.model import is_positive
from champion.model.onnx_scorer import OnnxScorer
from champion.pipeline.prepare.labels import label_rows
from champion.predictions.labels import Labels
from champion.predictions.log import PredictionLog
from champion.registry.registry import Registry
from champion.registry.versions import ONNX_FILE, Version
from champion.serving.table_files import check_suffix, open_table
from champion.serving.table_scoring import Scoring
from champion.table.columns import TARGET, Columns
from champion.table.features import Feature, parse_features, treat
from champion.table.fields import read_typed
from champion.table.rows import ReadRow, RowReader, mistakes

# The columns that each part has besides the features.
ANSWERS = ("probability", "decision", "day", "label", "version", "variant")
# Rows of a part.
ROWS = 50_000


def read_recent(
    registry: Registry, version: Version, since: date | None, until: date | None, origin: str
) -> Iterator[pl.DataFrame]:
    """The rows of the days from `since` on and before `until`, in parts of at most 50,000 with equal columns.

    The columns are the features of the version's model, each as `treat` gives it, and those of `ANSWERS`: `day` is the
    row's date, and `label` is null while it is not known today. The first part can be empty. `origin` is

    - "log": what the environment answered, whichever version did, except rows that were out of scope. The days are
      those of the answers, in UTC. A value that the version could not read, as the row is another version's, is null.
    - "source": the rows of the pipeline's source, read as the version was registered to read them, and scored by its
      delivered model. By default they begin with the first row that its models needed.
    - a Parquet or CSV file with the features, scored by the same. Without the column of dates, `day` is null and all
      rows are read; without that of the label, `label` is null.

    Raises `UserError` when the rows cannot be read: at the call, or later as they are read.
    """
    features = parse_features(version.features)
    taken = next((feature.name for feature in features if feature.name in ANSWERS), None)
    if taken is not None:
        raise ConflictError(
            f"the feature {taken!r} of {version.name} has the name of a column that monitoring adds to the rows. Give "
            "the feature another name in params.yaml, and train again."
        )
    match origin:
        case "log":
            parts = _read_log(registry, version, features, since, until)
        case "source":
            parts = _read_source(registry, version, since, until)
        case _:
            parts = _read_file(registry, version, since, until, origin)
    return _sliced(parts)


def open_scorer(registry: Registry, version: Version) -> OnnxScorer:
    """The version's delivered model. Raises `ConflictError` for an older version, which servers cannot open."""
    version.require_onnx()
    return OnnxScorer.parse(registry.read_file(version, ONNX_FILE), f"{ONNX_FILE} of {version.name}")


def answer(version: Version, scorer: OnnxScorer, treated: pl.DataFrame) -> pl.DataFrame:
    """What the version says of rows that `treat` gave: of `ANSWERS` those that are no facts of the row."""
    probability = scorer.predict_treated(treated)
    answers = {"probability": probability, "decision": is_positive(probability, scorer.manifest.cut)}
    return pl.DataFrame(answers, {"probability": pl.Float64, "decision": pl.Boolean}).with_columns(
        version=pl.lit(version.name), variant=pl.lit(None, pl.String)
    )


def _sliced(parts: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    for part in parts:
        yield from part.iter_slices(ROWS) if part.height else [part]


def _read_log(
    registry: Registry, version: Version, features: Sequence[Feature], since: date | None, until: date | None
) -> Iterator[pl.DataFrame]:
    reader = RowReader(features)
    log = PredictionLog.open(registry.environment)
    try:
        labels = Labels(log.complete_through(), version.params["label"].get("horizon"))
        day = pl.col("time").dt.date()
        for part in log.read(_midnight(since), _midnight(until)):
            answered = part.filter(pl.col("out_of_scope").is_null())
            rows = [_read_row(reader, features, values) for values in _decoded(answered["features"])]
            yield _frame(rows, features).hstack(
                answered.select(
                    "probability",
                    "decision",
                    day.alias("day"),
                    labels.of_rows(day, pl.col("event")).alias("label"),
                    "version",
                    "variant",
                )
            )
    finally:
        log.close()


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _decoded(texts: pl.Series) -> list[Mapping[str, Any]]:
    # All at once takes less time than one by one.
    found: list[Mapping[str, Any]] = json.loads(f"[{','.join(texts)}]")
    return found


def _read_row(reader: RowReader, features: Sequence[Feature], values: Mapping[str, Any]) -> ReadRow:
    """The row as the version reads it, without the values that it cannot read."""
    try:
        return reader.read(values)
    except UserError:
        return reader.read({**values, **dict.fromkeys(mistakes(values, features))})


def _frame(rows: Sequence[ReadRow], features: Sequence[Feature]) -> pl.DataFrame:
    numbers = iter(zip(*(row.numbers for row in rows), strict=True))
    texts = iter(zip(*(row.texts for row in rows), strict=True))
    return pl.DataFrame(
        [
            pl.Series(feature.name, next(texts, ()), pl.String)
            if feature.kind == "category"
            else pl.Series(feature.name, next(numbers, ()), pl.Float64).fill_nan(None)
            for feature in features
        ]
    )


def _read_source(
    registry: Registry, version: Version, since: date | None, until: date | None
) -> Iterator[pl.DataFrame]:
    params = registered_params(version)
    if params.calendar is None:
        raise ConflictError(
            f"the table of {version.name} has no dates, so nobody knows which of its rows are recent. Give a file with "
            "recent rows."
        )
    scorer, when = open_scorer(registry, version), params.table.named("date")[0]
    try:
        rows = read_source(registry, version, params, _today(), since or params.calendar.start)
    except NoRowsError:
        yield _scored(
            version, scorer, _frame([], scorer.features), pl.Series(dtype=pl.Date), pl.Series(dtype=pl.Boolean)
        )
        return
    rows = rows.filter(_within(rows[when], since, until))
    # At least one part.
    for part in rows.iter_slices(ROWS) if rows.height else [rows]:
        yield _scored(version, scorer, treat(part, scorer.features), part[when], part[TARGET].cast(pl.Boolean))


def _read_file(
    registry: Registry, version: Version, since: date | None, until: date | None, name: str
) -> Iterator[pl.DataFrame]:
    check_suffix(name)
    path = Path(name)
    if not path.is_file():
        raise NotFoundError(f"{name}: there is no such file. Give `log`, `source`, or a Parquet or CSV file.")
    params, scorer = registered_params(version), open_scorer(registry, version)
    with open_table(path, name) as table:
        scoring = Scoring(version.name, scorer, table)
        scoring.check_read()
        columns, when = params.table, params.table.only("date")
        needed = [one for one in (when, columns.label, columns.only("known")) if one is not None]
        given = Columns({one: columns[one] for one in needed if one in table.schema.names})
        first = 1
        # A file without rows has no batch, but its parts have columns.
        nothing = pa.record_batch([pa.nulls(0, field.type) for field in table.schema], schema=table.schema)
        for batch in chain([nothing], table.batches):
            _, treated, rule = scoring.read(first, batch)
            rows = _read_columns(batch, given, params, name, first)
            unknown = pl.repeat(None, len(batch), eager=True)
            days = unknown.cast(pl.Date) if when not in given else rows[str(when)]
            kept = rule.is_null() & (_within(days, since, until) if when in given else True)
            labels = unknown.cast(pl.Boolean)
            if len(given) == len(needed):
                labels = rows.select(label_rows(columns, params.label, _today())).to_series().cast(pl.Boolean)
            yield _scored(version, scorer, treated.filter(kept), days.filter(kept), labels.filter(kept))
            first += len(batch)


def _read_columns(
    batch: pa.RecordBatch, columns: Columns, params: RegisteredParams, name: str, first: int
) -> pl.DataFrame:
    """These columns of the file with their declared types. Raises `UserError` naming a value that has another."""
    found = cast(pl.DataFrame, pl.from_arrow(batch.select(list(columns))))
    values = []
    for column, spec in columns.items():
        field = read_typed(column, spec.type, found.schema[column], params.ingest)
        if field is None:
            raise UserError(f"{name}: the column {column!r} holds {found.schema[column]}, not {spec.type}. Convert it.")
        values.append(field.value.alias(column))
        if field.origin is not None:
            failed = found.select(field.origin.is_not_null() & field.value.is_null()).to_series().arg_true()
            if len(failed):
                raise UserError(
                    f"{name}: {found[column][failed[0]]!r} in row {first + failed[0]} of column {column!r} is no "
                    f"{spec.type}. Correct it."
                )
    return found.select(values)


def _within(days: pl.Series, since: date | None, until: date | None) -> pl.Series:
    """Which of the days are in the time. Without limits, all rows are."""
    kept = pl.repeat(True, len(days), eager=True)
    if since is not None:
        kept &= (days >= since).fill_null(False)
    return kept if until is None else kept & (days < until).fill_null(False)


def _scored(
    version: Version, scorer: OnnxScorer, treated: pl.DataFrame, days: pl.Series, labels: pl.Series
) -> pl.DataFrame:
    rows = treated.hstack(answer(version, scorer, treated)).with_columns(day=days, label=labels)
    return rows.select(*treated.columns, *ANSWERS)


def _today() -> date:
    return datetime.now(UTC).date()
