"""What a delivered model really did, on rows whose label was not yet known when it was made."""

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from champion.core.errors import ConflictError, UserError
from champion.core.values import rounded
from champion.delivery.listeners import follow
from champion.delivery.source_rows import RegisteredParams, read_source, registered_params
from champion.pipeline.evaluate.params import Evaluate
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.versions import MODEL_FILE, Version, load_bytes
from champion.table.window import Calendar, shift

if TYPE_CHECKING:
    from champion.model.model import Model
    from champion.table.dataset import Dataset

# What is promised and what became of it. Of those with an interval, both ends are promised too.
COMPARED = ("roc_auc", "brier_skill", "lift_10", "observed_expected", "flagged_share", "precision", "base_rate")
PROMISED = (
    "rows",
    *(f"{name}{end}" for name in COMPARED for end in ("", "_low", "_high")),
    "rehearsed_roc_auc_low",
    "rehearsed_roc_auc_high",
)


def realise(registry: Registry, name: str, known_by: str) -> Row:
    """Score a version's delivered model on the rows whose label is known at the date `known_by`, and record it.

    Two parts are scored apart, both without the rows that the version's rules exclude:

    - `after`: the rows from the model's date on, which is the version's `as_of`: what the metrics at registration
      promised. Here, as there, the model has never seen the rows, nor anything of their time.
    - `before`: the rows before that date that no training saw, because their label was not yet known at that date: the
      row's date + `label.horizon` is later than `as_of`.

    The rows are read again from the source with the version's registered params and code of today, as of `known_by`.
    The cut and the known rate are the delivered model's own. Intervals are made as the registered `evaluate` says.
    Nothing is written but one row in the ledger, whose details are JSON: each part with `rows`, `first`, `last`,
    `effective_groups` and `metrics` (none without rows), and `promised`, the registered metrics of the judged model.

    Raises `UserError` when the version has no delivered model of a date, its rows cannot be read again, or no label,
    or only one class, is known of the rows in `after`.
    """
    version, day = registry.resolve(name), _parse(known_by)
    params, model = registered_params(version), _load(registry, version)
    calendar = _calendar(version, params, model)
    data = _read_unseen(registry, version, params, calendar, day)
    when, made = data.rows[str(data.schema.date)], calendar.as_of
    after = data.only((when >= made).to_numpy())
    _refuse_unscorable(version, after, made, day)
    promised = {key: version.metrics.get(key) for key in PROMISED}
    parts = {
        "after": _score(model, after, params.evaluate),
        "before": _score(model, data.only((when < made).to_numpy()), params.evaluate),
    }
    details = {
        "as_of": str(day),
        "made": str(made),
        "promised": promised,
        "within_rehearsals": _is_within(promised, parts["after"]["metrics"]["roc_auc"]),
    }
    with registry.ledger.appending() as session:
        row = session.append(
            "realised",
            version=version.name,
            model_sha256=version.model_sha256,
            details=rounded(details | parts),
        )
    follow(registry, row)
    return row


def next_rows(registry: Registry, version: Version) -> tuple["Dataset", Calendar]:
    """The rows of the first test after the version's delivered model was made, with their label, and its dates.

    Raises `UserError` when the model is of no date, or the labels of these rows are not known or cannot be read.
    """
    params = registered_params(version)
    calendar = _calendar(version, params, _load(registry, version))
    data = _read_unseen(registry, version, params, calendar, calendar.known(calendar.as_of))
    when = data.rows[str(data.schema.date)]
    return data.only((when >= calendar.as_of).to_numpy()), calendar


def _load(registry: Registry, version: Version) -> "Model":
    return load_bytes(registry.read_file(version, MODEL_FILE), version.model_sha256)


def _parse(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{text!r} is not a date such as 2014-07-01.") from None
    return day


def _calendar(version: Version, params: RegisteredParams, model: "Model") -> Calendar:
    if params.calendar is None:
        raise ConflictError(
            f"the table of {version.name} has no dates, so no label becomes known later. Choose a version of a table "
            "with dates."
        )
    if model.manifest.made != str(params.calendar.as_of):
        raise ConflictError(
            f"the delivered model of {version.name} does not say that it was made on {params.calendar.as_of}, the "
            "`as_of` of its params, so nobody knows which rows it saw. Choose a newer version."
        )
    return params.calendar


def _check_date(version: Version, calendar: Calendar, day: date) -> None:
    if day > datetime.now(UTC).date():
        raise UserError(f"{day} is in the future, when more labels will be known than today. Give an earlier date.")
    made = calendar.as_of
    # Without a horizon a label is known on the row's date, but the rows of `day` itself are not read.
    first = max(shift(made, calendar.horizon, 1), made + timedelta(days=1))
    if day < first:
        raise ConflictError(
            f"{version.name} was made on {made}, and no label of a row from that day on is known on {day}. Give a date "
            f"from {first} on."
        )


def _read_unseen(
    registry: Registry, version: Version, params: RegisteredParams, calendar: Calendar, day: date
) -> "Dataset":
    """The rows whose label is known on the day, but was not when the model was made."""
    import polars as pl

    from champion.pipeline.prepare.labels import known_from
    from champion.table.columns import TARGET
    from champion.table.dataset import Dataset, Schema
    from champion.table.features import features_of

    _check_date(version, calendar, day)
    columns = params.table
    # The window at that day may begin after the first row whose label the model did not know.
    oldest = shift(calendar.as_of, calendar.horizon, -1)
    rows = read_source(registry, version, params, day, oldest).drop_nulls(TARGET)
    date_column = columns.named("date")[0]
    new = (known_from(columns, params.label) > calendar.as_of) | (pl.col(date_column) >= calendar.as_of)
    schema = Schema(features_of(columns), calendar, date_column, columns.only("group"), columns.named("segment"))
    return Dataset(rows.filter(new), schema)


def _refuse_unscorable(version: Version, after: "Dataset", made: date, day: date) -> None:
    told = f"from {made} on, when {version.name} was made, whose label is known on {day}"
    if after.rows.is_empty():
        raise ConflictError(f"the source has no row {told}. Add newer rows to it, or give a later date.")
    if after.target.min() == after.target.max():
        raise ConflictError(
            f"all {after.rows.height:,} rows {told} have the same label, so no model can be scored. Give a later date."
        )


def _score(model: "Model", data: "Dataset", params: Evaluate) -> dict[str, Any]:
    from champion.model.bootstrap import Resamples
    from champion.model.metrics import score_with_intervals

    rows, when = data.rows.height, data.rows[str(data.schema.date)]
    if not rows:
        return {"rows": 0, "first": None, "last": None, "effective_groups": None, "metrics": None}
    resamples = Resamples(rows, data.groups, params.bootstrap_samples, params.seed)
    manifest = model.manifest
    return {
        "rows": rows,
        "first": str(when.min()),
        "last": str(when.max()),
        "effective_groups": resamples.effective,
        "metrics": score_with_intervals(
            data.target, model.predict(data.rows), manifest.cut, manifest.base_rate, resamples
        ),
    }


def _is_within(promised: dict[str, Any], roc_auc: float) -> bool | None:
    """Whether the ROC AUC is in the prediction interval of the rehearsals; None without an interval."""
    low, high = promised["rehearsed_roc_auc_low"], promised["rehearsed_roc_auc_high"]
    return None if low is None or high is None else low <= roc_auc <= high
