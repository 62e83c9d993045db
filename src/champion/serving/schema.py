"""What `/v1/predict` reads and answers, and what `/v1/outcomes` reads."""

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec

from champion.model.manifest import Manifest
from champion.model.reasons import rows_to_score
from champion.predictions.limits import LAST_ROW, REQUEST_ID
from champion.serving.problems import FieldError, Problem
from champion.table.features import Feature
from champion.table.rows import mistakes

# More errors help nobody, and cost time.
MAX_ERRORS = 100
# The choices for many users are remembered, so no user may have a name that fills the memory.
MAX_USER_ID = 256
# Rows that may have to be scored to explain those of one request: enough for 20 rows with 12 features.
MAX_SCORED = 20 * rows_to_score(12)
_NUMBER = re.compile("[1-9][0-9]{0,8}")
# What the decoder says can quote the body.
_MAX_REASON = 200
_ROW = re.compile(r" - at `\$\.(?:row\b|rows\[(\d+)\])")


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request: one `row` or many `rows`, and the user for whom flags are decided."""

    row: dict[str, Any] | None = None
    rows: list[dict[str, Any]] | None = None
    user_id: Annotated[str, msgspec.Meta(max_length=MAX_USER_ID)] | None = None


class Warned(msgspec.Struct):
    """A value that was emptied, as in training: it is `invalid` or was `unseen` there."""

    field: str
    reason: str


class Reason(msgspec.Struct):
    """How much a field's value, as it was given, moved the probability away from that of the reference row."""

    field: str
    value: Any
    reference: Any
    effect: float


class Prediction(msgspec.Struct, omit_defaults=True):
    """The answer for one row: a probability and the decision, or the rule by which training excludes such a row.

    `reasons` are those that were asked for, the largest effect first.
    """

    warnings: list[Warned]
    probability: float | None = None
    decision: bool | None = None
    out_of_scope: str | None = None
    reasons: list[Reason] | None = None


class FlagChoice(msgspec.Struct):
    """Which flag chose the version, and why; `reason` is a word of OpenFeature."""

    key: str
    variant: str
    reason: str


class Answer(msgspec.Struct):
    """The answer of `/v1/predict`."""

    request_id: str
    version: str
    flag: FlagChoice | None
    predictions: list[Prediction]


class OutcomeOfRow(msgspec.Struct, forbid_unknown_fields=True):
    """The event of a row happened on this day; null takes back what was said before."""

    request_id: Annotated[str, msgspec.Meta(pattern=rf"\A{REQUEST_ID}\Z")]
    date: datetime.date | None
    row: Annotated[int, msgspec.Meta(ge=0, le=LAST_ROW)] = 0


class Outcomes(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `/v1/outcomes`: events of rows, and the day up to which all events have been said."""

    outcomes: list[OutcomeOfRow] = []
    complete_through: datetime.date | None = None


_decode = msgspec.json.Decoder(Request).decode
# It takes a number that is too large for a float to be infinite, as training does. Slower, so it comes second.
_decode_infinite = msgspec.json.Decoder(Request, float_hook=float).decode
_decode_outcomes = msgspec.json.Decoder(Outcomes).decode
encode = msgspec.json.Encoder().encode


def read_rows(body: bytes | bytearray, max_rows: int) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of a request, at least one, and its user. Raises `Problem` with 400, 413 or 422."""
    request = _read(body)
    if (request.row is None) == (request.rows is None):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Give either `row` or `rows`.")
    rows = [request.row] if request.row is not None else request.rows or []
    if not rows:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "`rows` is empty. Give at least one row.")
    if len(rows) > max_rows:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The request has {len(rows)} rows, but at most {max_rows} are allowed. Send several requests.",
        )
    return rows, request.user_id


def read_most(query: bytes, columns: int) -> int:
    """How many reasons a query asks for, 0 when it asks for none. Raises `Problem` unless it is one of the columns."""
    given = [value for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if name == "reasons"]
    if not given:
        return 0
    if len(given) > 1 or not _NUMBER.fullmatch(given[0]) or int(given[0]) > columns:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"`reasons` says how many fields to name for each row. Give one whole number from 1 to {columns}.",
        )
    return int(given[0])


def max_explained(columns: int) -> int:
    """How many rows of a model with so many features a request may ask reasons for."""
    return max(MAX_SCORED // rows_to_score(columns), 1)


def read_outcomes(body: bytes, max_outcomes: int, latest: datetime.date) -> Outcomes:
    """What a client says of outcomes until the latest day. Raises `Problem` with 400, 413 or 422."""
    with _refusing():
        said = _decode_outcomes(body)
    if len(said.outcomes) > max_outcomes:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The request has {len(said.outcomes)} outcomes, but at most {max_outcomes} are allowed. Send several.",
        )
    errors = [
        FieldError("date is in the future", number, "date")
        for number, one in enumerate(said.outcomes)
        if one.date is not None and one.date > latest
    ]
    if errors:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "An event has not happened yet.", errors[:MAX_ERRORS])
    if said.complete_through is not None and said.complete_through > latest:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "`complete_through` is in the future.")
    return said


def _read(body: bytes | bytearray) -> Request:
    with _refusing():
        try:
            return _decode(body)
        except msgspec.ValidationError as error:
            if not str(error).startswith("Number out of range"):
                raise
        return _decode_infinite(body)


@contextmanager
def _refusing() -> Iterator[None]:
    """Raise `Problem` for what a decoder says of a body."""
    try:
        yield
    except msgspec.ValidationError as error:
        reason = str(error)
        found = _ROW.search(reason)
        errors = [FieldError(_shorten(reason), int(found[1] or 0))] if found else []
        detail = f"The body is not as it should be: {_shorten(reason)}."
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body is no valid JSON: {_shorten(str(error))}.") from None


def _shorten(reason: str) -> str:
    return reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}…"


def refuse_wrong(rows: Sequence[Mapping[str, Any]], features: list[Feature], required: Sequence[str]) -> Problem:
    """The problem that names each wrong value; `required` are columns besides the features."""
    errors: list[FieldError] = []
    for number, row in enumerate(rows):
        found = mistakes(row, features)
        found |= {name: "is missing; give null for a missing value" for name in required if name not in row}
        errors += [FieldError(f"{name} {what}", number, name) for name, what in found.items()]
        if len(errors) >= MAX_ERRORS:
            break
    what = "1 value is" if len(errors) == 1 else f"{len(errors)} values are"
    what = f"{MAX_ERRORS} values or more are" if len(errors) >= MAX_ERRORS else what
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{what} wrong.", errors[:MAX_ERRORS])


def required_columns(manifest: Manifest) -> list[str]:
    """The columns that a row must have besides the features: those that a rule of `exclusions` reads."""
    read = {name for rule in manifest.exclusions.values() for name in rule}
    return sorted(read - {feature.name for feature in manifest.features})
