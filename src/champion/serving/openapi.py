"""The OpenAPI document of the server, for the model that it serves."""

from collections.abc import Mapping
from typing import Any

from champion.environments import Serving
from champion.model.manifest import Manifest
from champion.predictions.limits import LAST_ROW, REQUEST_ID
from champion.serving.schema import MAX_USER_ID, max_explained, required_columns
from champion.table.features import EXPECTED, Feature


def describe_api(manifest: Manifest, settings: Serving) -> dict[str, Any]:
    """The OpenAPI document for a model with this manifest."""
    problem = {"$ref": "#/components/schemas/Problem"}
    problems = {
        "400": "The request is no valid HTTP, or its body no valid JSON.",
        "401": "The API key is missing or wrong.",
        "408": "The request took too long to arrive.",
        "409": "The version was made before there were reference rows, so it can give no reasons.",
        "413": "The body is too large, or has too many rows.",
        "415": "The body is not declared as JSON.",
        "422": "A value has a wrong type, or a key is absent. `errors` names row and field. Or `reasons` is wrong.",
        "429": "The key sent too many requests in this second.",
        "431": "The headers are too large.",
        "500": "The server failed.",
        "503": "The server has too many connections or too many requests for reasons, or is about to end.",
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
        "parameters": [] if manifest.reference is None else [_reasons(len(manifest.features))],
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
    said = {
        "summary": "Say which events happened, and up to which day all have been said",
        "operationId": "take_outcomes",
        "security": security,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Outcomes"}}},
        },
        "responses": {
            "202": _described("They are kept, and reach the prediction log soon.", "Kept"),
            "404": {**refused["400"], "description": "This environment logs no predictions."},
            **refused,
        },
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
            "/v1/outcomes": {"post": said},
            "/health/live": {"get": live},
            "/health/ready": {"get": ready},
            "/metrics": {"get": metrics},
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(manifest, settings),
        },
    }


def _schemas(manifest: Manifest, settings: Serving) -> dict[str, Any]:
    text, whole, words = {"type": "string"}, {"type": "integer"}, {"type": "string", "nullable": True}
    properties = {feature.name: _property(feature) for feature in manifest.features}
    # A rule's column that is no feature has any type, and null too.
    properties |= {name: {} for name in required_columns(manifest)}
    row = {"type": "object", "required": list(properties), "properties": properties}
    warned = {"field": text, "reason": {"type": "string", "enum": ["invalid", "unseen"]}}
    reason = {
        "field": text,
        "value": {},
        "reference": {},
        "effect": {
            "type": "number",
            "minimum": -1,
            "maximum": 1,
            "description": "How much the value moved the probability away from that of the reference row.",
        },
    }
    prediction = {
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "decision": {"type": "boolean", "description": f"Whether the probability is at least {manifest.cut:.4g}."},
        "out_of_scope": {"type": "string", "description": "The rule by which training excludes such a row."},
        "warnings": {"type": "array", "items": _object(warned)},
        "reasons": {
            "type": "array",
            "items": _object(reason),
            "description": "What moved the probability most, if `reasons` asks for it; the largest effect first.",
        },
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
    day = {"type": "string", "format": "date"}
    outcome = {
        "request_id": {"type": "string", "pattern": f"^{REQUEST_ID}$"},
        "row": {"type": "integer", "minimum": 0, "maximum": LAST_ROW},
        "date": {**day, "nullable": True, "description": "The day of the event; null takes it back."},
    }
    of_row = {**_object(outcome), "required": ["request_id", "date"], "additionalProperties": False}
    outcomes = {
        "outcomes": {"type": "array", "maxItems": settings.max_rows, "items": of_row},
        "complete_through": {**day, "nullable": True, "description": "All events up to this day have been said."},
    }
    return {
        "Row": row,
        "Outcomes": {"type": "object", "properties": outcomes, "additionalProperties": False},
        "Kept": _object({"request_id": text, "outcomes": whole}),
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


def _reasons(columns: int) -> dict[str, Any]:
    rows = max_explained(columns)
    return {
        "name": "reasons",
        "in": "query",
        "description": f"How many fields to name that moved each probability most; for at most {rows} rows.",
        "schema": {"type": "integer", "minimum": 1, "maximum": columns},
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
