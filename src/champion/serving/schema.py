"""What `/v1/predict` reads and answers, and the OpenAPI document that says so."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

import msgspec

from champion.environments import Serving
from champion.model.manifest import Manifest
from champion.serving.problems import FieldError, Problem
from champion.table.features import EXPECTED, Feature
from champion.table.rows import mistakes

# More errors help nobody, and cost time.
MAX_ERRORS = 100
# The choices for many users are remembered, so no user may have a name that fills the memory.
MAX_USER_ID = 256
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


class Prediction(msgspec.Struct, omit_defaults=True):
    """The answer for one row: a probability and the decision, or the rule by which training excludes such a row."""

    warnings: list[Warned]
    probability: float | None = None
    decision: bool | None = None
    out_of_scope: str | None = None


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


_decode = msgspec.json.Decoder(Request).decode
# It takes a number that is too large for a float to be infinite, as training does. Slower, so it comes second.
_decode_infinite = msgspec.json.Decoder(Request, float_hook=float).decode
encode = msgspec.json.Encoder().encode


def read_rows(body: bytes, max_rows: int) -> tuple[list[dict[str, Any]], str | None]:
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


def _read(body: bytes) -> Request:
    try:
        try:
            return _decode(body)
        except msgspec.ValidationError as error:
            if not str(error).startswith("Number out of range"):
                raise
        return _decode_infinite(body)
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


def describe_api(manifest: Manifest, settings: Serving) -> dict[str, Any]:
    """The OpenAPI document for a model with this manifest."""
    problem = {"$ref": "#/components/schemas/Problem"}
    problems = {
        "400": "The request is no valid HTTP, or its body no valid JSON.",
        "401": "The API key is missing or wrong.",
        "408": "The request took too long to arrive.",
        "413": "The body is too large, or has too many rows.",
        "415": "The body is not declared as JSON.",
        "422": "A value has a wrong type, or a key is absent. `errors` names row and field.",
        "429": "The key sent too many requests in this second.",
        "431": "The headers are too large.",
        "500": "The server failed.",
        "503": "The server has too many connections, or is about to end.",
    }
    refused = {
        status: {"description": text, "content": {"application/problem+json": {"schema": problem}}}
        for status, text in problems.items()
    }
    always = {status: refused[status] for status in ("400", "408", "431", "500", "503")}
    security: list[dict[str, list[str]]] = [{"key": []}] if settings.keys_required else [{"key": []}, {}]
    example = {"row": {one.name: _example(one) for one in manifest.features}, "user_id": "user-1"}
    predict = {
        "summary": "The probability and the decision for one row or many",
        "operationId": "predict",
        "security": security,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}, "example": example}},
        },
        "responses": {"200": _described("The predictions, in the order of the rows.", "Answer"), **refused},
    }
    model = {
        "summary": "The version that answers, and how it reads a row",
        "operationId": "describe_model",
        "security": security,
        "responses": {"200": _described("The model.", "Model"), "401": refused["401"], "429": refused["429"], **always},
    }
    live = {
        "summary": "Whether the process runs",
        "operationId": "is_live",
        "responses": {"200": _described("It runs.", "Health"), **always},
    }
    ready = {
        "summary": "Whether requests may be sent here",
        "operationId": "is_ready",
        "responses": {"200": _described("It answers requests.", "Health"), **always},
    }
    metrics = {
        "summary": "Measurements for Prometheus",
        "operationId": "read_metrics",
        "responses": {
            "200": {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **always,
        },
    }
    return {
        "openapi": "3.0.3",
        "info": {"title": "Champion", "version": "1", "description": "Predictions of the deployed model."},
        "paths": {
            "/v1/predict": {"post": predict},
            "/v1/model": {"get": model},
            "/health/live": {"get": live},
            "/health/ready": {"get": ready},
            "/metrics": {"get": metrics},
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(manifest, settings),
        },
    }


def required_columns(manifest: Manifest) -> list[str]:
    """The columns that a row must have besides the features: those that a rule of `exclusions` reads."""
    read = {name for rule in manifest.exclusions.values() for name in rule}
    return sorted(read - {feature.name for feature in manifest.features})


def _schemas(manifest: Manifest, settings: Serving) -> dict[str, Any]:
    text, whole, words = {"type": "string"}, {"type": "integer"}, {"type": "string", "nullable": True}
    properties = {feature.name: _property(feature) for feature in manifest.features}
    # A rule's column that is no feature has any type, and null too.
    properties |= {name: {} for name in required_columns(manifest)}
    row = {"type": "object", "required": list(properties), "properties": properties}
    warned = {"field": text, "reason": {"type": "string", "enum": ["invalid", "unseen"]}}
    prediction = {
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "decision": {"type": "boolean", "description": f"Whether the probability is at least {manifest.cut:.4g}."},
        "out_of_scope": {"type": "string", "description": "The rule by which training excludes such a row."},
        "warnings": {"type": "array", "items": _object(warned)},
    }
    choice = {"key": text, "variant": text, "reason": text}
    answer = {
        "request_id": text,
        "version": text,
        "flag": {**_object(choice), "nullable": True},
        "predictions": {"type": "array", "items": {**_object(prediction), "required": ["warnings"]}},
    }
    error = {"detail": text, "row": whole, "field": text}
    problem = {
        "type": text,
        "title": text,
        "status": whole,
        "detail": text,
        "request_id": text,
        "errors": {"type": "array", "items": {**_object(error), "required": ["detail"]}},
    }
    request = {
        "row": {"$ref": "#/components/schemas/Row"},
        "rows": {
            "type": "array",
            "minItems": 1,
            "maxItems": settings.max_rows,
            "items": {"$ref": "#/components/schemas/Row"},
        },
        "user_id": {
            **words,
            "maxLength": MAX_USER_ID,
            "description": "Flags decide by it. Without it, the live version answers.",
        },
    }
    one, many = ({name: one for name, one in request.items() if name != other} for other in ("rows", "row"))
    return {
        "Row": row,
        "Request": {
            "oneOf": [
                {**_object(one), "required": ["row"], "additionalProperties": False},
                {**_object(many), "required": ["rows"], "additionalProperties": False},
            ]
        },
        "Answer": _object(answer),
        "Problem": {**_object(problem), "required": ["type", "title", "status", "detail"]},
        "Model": {"type": "object"},
        "Health": _object({"status": text}),
    }


def _property(feature: Feature) -> dict[str, Any]:
    kinds: dict[str, list[dict[str, Any]]] = {
        "integer": [{"type": "integer"}],
        "number": [{"type": "number"}],
        "boolean": [{"type": "boolean"}, {"type": "integer", "enum": [0, 1]}],
        "category": [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}],
    }
    found, allowed = kinds[feature.type], ""
    if feature.values is not None:
        allowed = f", one of {', '.join(feature.values)}"
    elif feature.range is not None:
        low, high = ("" if end is None else f"{end:g}" for end in feature.range)
        allowed = f", from {low} to {high}"
    description = (
        f"{EXPECTED[feature.type]}{allowed}; any other value is as good as missing"
        if allowed
        else (EXPECTED[feature.type])
    )
    # `nullable` means something only beside a type.
    found = [{**one, "nullable": True} for one in found]
    kind = found[0] if len(found) == 1 else {"anyOf": found}
    return {**kind, "description": description[0].upper() + description[1:] + "."}


def _example(feature: Feature) -> Any:
    if feature.values is not None:
        return feature.values[0]
    low = next((end for end in feature.range or () if end is not None), 1)
    return {"integer": int(low), "number": low, "boolean": True, "category": "A"}[feature.type]


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


def _described(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }
