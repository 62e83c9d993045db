"""The OpenAPI document says what the server does, and its page needs no other server."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urljoin

import pytest
import requests
from jsonschema import Draft4Validator

from champion.environments import Serving
from champion.model.manifest import Manifest
from champion.serving.openapi import describe_api
from champion.table.columns import ColumnType
from champion.table.features import Feature
from champion.table.rows import mistakes
from support.serving import ROW, Server, serving_apart


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, results: Path, shared: Path) -> Iterator[Server]:
    with serving_apart(tmp_path_factory.mktemp("openapi"), results, shared) as one:
        yield one


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    answer = requests.get(f"{server.url}/openapi.json", timeout=10)
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def test_each_answer_is_one_that_the_document_describes(server: Server) -> None:
    # Imported here, because other workers than this one would wait for it too.
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import from_schema
    from schemathesis.engine.events import ScenarioFinished

    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": {"Authorization": str(server.session.headers["Authorization"])},
            "generation": {"max-examples": 60, "deterministic": True, "database": "none"},
            "phases": {"stateful": {"enabled": False}},
            # The document cannot say which day is in the future.
            "operations": [
                {
                    "include-name": "POST /v1/outcomes",
                    "checks": {"positive_data_acceptance": {"expected-statuses": ["202", "422"]}},
                }
            ],
        }
    )
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=config)
    finished = [event for event in from_schema(schema).execute() if isinstance(event, ScenarioFinished)]
    failures = {
        f"{check.name}: {check.failure_info.failure}\n{check.failure_info.code_sample}"
        for event in finished
        for checks in event.recorder.checks.values()
        for check in checks
        if check.failure_info is not None
    }
    assert not failures, "\n\n".join(sorted(failures)[:10])
    asked = Counter(event.recorder.label for event in finished for _ in event.recorder.cases)
    assert asked["POST /v1/predict"] > 100
    assert len(asked) == 6


def test_the_document_is_valid_and_names_the_fields_of_the_model(document: dict[str, Any], server: Server) -> None:
    from schemathesis.specs.openapi.definitions import OPENAPI_30_VALIDATOR

    assert document["openapi"] == "3.0.3"
    OPENAPI_30_VALIDATOR.validate(document)
    row = document["components"]["schemas"]["Row"]
    assert list(row["properties"]) == row["required"] == list(ROW)
    example = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert server.post(**example).status_code == 200


VALUES = [None, True, False, 0, 1, 2, -7, 10**400, 0.5, "", "1", "a", [], [1], {}, {"a": 1}]
FEATURES = [Feature(name=kind, type=kind) for kind in get_args(ColumnType) if kind != "date"]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.type)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_document_and_the_model_call_the_same_values_wrong(feature: Feature, value: object) -> None:
    manifest = Manifest([feature], 0.5, 0.5, exclusions={"rule": {"other": 1}})
    schemas = describe_api(manifest, Serving())["components"]["schemas"]
    row = {feature.name: value, "other": value}
    described = Draft4Validator(_without_nullable(schemas["Row"])).is_valid(row)
    assert described == (not mistakes(row, [feature]))
    assert not Draft4Validator(schemas["Row"]).is_valid({feature.name: value})


def _without_nullable(schema: Any) -> Any:
    """OpenAPI's schema as JSON Schema, which has no `nullable`."""
    if isinstance(schema, list):
        return [_without_nullable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _without_nullable(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [kept, {"type": "null"}]} if schema.get("nullable") and "type" in schema else kept


def test_each_refusal_is_described(document: dict[str, Any], server: Server) -> None:
    responses = document["paths"]["/v1/predict"]["post"]["responses"]
    refused = {status: answer for status, answer in responses.items() if status != "200"}
    assert all(list(answer["content"]) == ["application/problem+json"] for answer in refused.values())
    ask = f"{server.url}/v1/predict"
    for answer in (
        requests.post(ask, timeout=10),
        server.session.post(ask, data=b"{", timeout=10),
        server.session.post(ask, data=b" " * 2_000_000, timeout=10),
        server.session.post(ask, data=b"", headers={"Content-Type": "text/plain"}, timeout=10),
        server.session.post(ask, json={}, timeout=10),
        server.session.post(ask, headers={"x": "a" * 40_000}, timeout=10),
    ):
        assert str(answer.status_code) in refused
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_page_loads_nothing_from_elsewhere(server: Server) -> None:
    page = requests.get(f"{server.url}/docs", timeout=10)
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r'(?:href|src|url)(?:=|: )"([^"]+)"', page.text)
    assert {"openapi.json", "docs/assets/swagger-ui-bundle.js", "docs/assets/swagger-ui.css"} == set(loaded)
    for address in loaded:
        answer = requests.get(urljoin(f"{server.url}/docs", address), timeout=10)
        assert answer.status_code == 200
        if address.endswith(".css"):
            assert not re.search(r"url\((?!['\"]?data:)|@import", answer.text)
    # Else Swagger sends the document's address to a public server.
    assert "validatorUrl: null" in page.text
    assert "http" not in page.text
