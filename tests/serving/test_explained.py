"""A request may ask for the reasons of its answer, and no other request is slower or different for it."""

import asyncio
import hashlib
import json
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from champion.delivery import deployment, rollout
from champion.serving import explainer
from champion.serving.explainer import Explainer
from champion.serving.live_model import OpenVersion
from champion.serving.problems import Problem
from champion.serving.schema import max_explained
from champion.serving.scoring import read_each
from support.delivery import InState, project_in_state
from support.edited import deploy_result, fail_on_unseen_text, register_edited
from support.hostile import HOSTILE
from support.serving import ROW, Server, await_true, serving

OLD = {"too old": {"age": {"above": 100}}}
OTHER: dict[str, Any] = {"income": 1.5, "age": -1.2, "noise": -2.0, "region": "south"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, results: Path, shared: Path) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        project = project_in_state("new", tmp_path_factory.mktemp("explained"), results, shared, patch)
        deploy_result(project, "weak", exclusions=OLD)
        with serving(project, "staging") as one:
            yield one


def ask(server: Server, query: str, **body: Any) -> requests.Response:
    return server.session.post(f"{server.url}/v1/predict?{query}", json=body or {"row": OTHER}, timeout=60)


def reasons(server: Server, row: dict[str, Any], most: int = 4) -> list[dict[str, Any]]:
    answer = ask(server, f"reasons={most}", row=row)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"][0]["reasons"]  # type: ignore[no-any-return]


def reference_row(server: Server) -> dict[str, Any]:
    described = server.session.get(f"{server.url}/v1/model", timeout=10).json()
    reference: dict[str, Any] = described["reference"]
    assert set(reference) == set(ROW)
    return reference


def distance(server: Server, row: dict[str, Any]) -> float:
    """How far the row's probability is from that of the reference row."""
    of_row, of_reference = (server.predict(one)["predictions"][0] for one in (row, reference_row(server)))
    return float(of_row["probability"] - of_reference["probability"])


def test_reasons_explain_the_distance_from_the_reference_row(server: Server) -> None:
    found, reference = reasons(server, OTHER), reference_row(server)
    assert {one["field"]: one["value"] for one in found} == OTHER
    assert {one["field"]: one["reference"] for one in found} == reference
    assert sum(one["effect"] for one in found) == pytest.approx(distance(server, OTHER), abs=1e-9)
    sizes = [abs(one["effect"]) for one in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0.05


def test_a_lower_number_gives_the_first_reasons(server: Server) -> None:
    assert [reasons(server, OTHER, most) for most in (1, 2, 3)] == [reasons(server, OTHER)[:most] for most in (1, 2, 3)]


def test_a_row_differs_from_the_reference_row_where_the_model_reads_it_otherwise(server: Server) -> None:
    reference = reference_row(server)
    assert reasons(server, reference) == []
    (only,) = reasons(server, reference | {"income": None})
    assert (only["field"], only["value"], only["reference"]) == ("income", None, reference["income"])
    assert only["effect"] == pytest.approx(distance(server, reference | {"income": None}), abs=1e-9)


def test_each_row_in_scope_has_its_reasons(server: Server) -> None:
    rows = [ROW, ROW | {"age": 101}, OTHER]
    answer = ask(server, "reasons=4", rows=rows).json()["predictions"]
    assert [one.get("reasons") for one in answer] == [reasons(server, ROW), None, reasons(server, OTHER)]
    assert "reasons" not in answer[1]


def test_an_answer_without_reasons_has_the_same_bytes_as_before(server: Server) -> None:
    server.session.headers["X-Request-Id"] = "same"
    plain, other, explained = (ask(server, query) for query in ("", "reason=4&Reasons=4", "reasons=4"))
    del server.session.headers["X-Request-Id"]
    assert plain.content == other.content
    answer = plain.json()
    assert list(answer["predictions"][0]) == ["warnings", "probability", "decision"]
    answer["predictions"][0]["reasons"] = explained.json()["predictions"][0]["reasons"]
    assert explained.json() == answer


WRONG = ["", "0", "5", "-1", "+1", "1.5", "1e0", "01", "true", "four", " 1", "\u0664", "1&reasons=2", "9" * 5000, "%ff"]


@pytest.mark.parametrize("value", WRONG, ids=ascii)
def test_a_wrong_number_of_reasons_is_refused(server: Server, value: str) -> None:
    answer = ask(server, f"reasons={value}")
    assert answer.status_code == 422
    expected = "`reasons` says how many fields to name for each row. Give one whole number from 1 to 4."
    assert answer.json()["detail"] == expected


def test_an_encoded_address_asks_for_reasons_too(server: Server) -> None:
    address = f"{server.url}/v1/%70redict?x=%00;&re%61sons=%34#reasons=9"
    answer = server.session.post(address, json={"row": OTHER}, timeout=10)
    assert len(answer.json()["predictions"][0]["reasons"]) == 4


@pytest.mark.parametrize("text", [text for text in HOSTILE if text != "\ud800"], ids=ascii)
def test_a_text_is_given_back_as_it_was(server: Server, text: str) -> None:
    given = {one["field"]: one["value"] for one in reasons(server, OTHER | {"region": text})}
    assert given["region"] == text


def test_a_number_beyond_all_floats_is_given_back_or_null(server: Server) -> None:
    body = json.dumps({"row": OTHER | {"income": 10**400}})
    for sent, expected in ((body, 10**400), (body.replace(f"1{'0' * 400}", "1e400"), None)):
        answer = server.session.post(f"{server.url}/v1/predict?reasons=4", data=sent, timeout=10)
        prediction = answer.json()["predictions"][0]
        assert {one["field"]: one["value"] for one in prediction["reasons"]}["income"] == expected
        assert prediction["warnings"] == [{"field": "income", "reason": "invalid"}]


def test_wrong_rows_are_refused_as_without_reasons(server: Server) -> None:
    for body in ({"row": OTHER | {"age": "old"}}, {"rows": []}, {"row": {}}):
        plain, explained = (ask(server, query, **body).json() for query in ("", "reasons=2"))
        assert plain | {"request_id": ""} == explained | {"request_id": ""}


@pytest.mark.sweep
def test_hundreds_of_requests_for_reasons_leave_the_others_answered(server: Server) -> None:
    rows = [OTHER | {"income": number / 100} for number in range(100)]
    done = threading.Event()

    def explained(_: int) -> tuple[int, int]:
        answer = ask(server, "reasons=4", rows=rows)
        return answer.status_code, len(answer.json().get("predictions", []))

    def plain() -> set[int]:
        found = set()
        while not done.is_set():
            found.add(
                requests.post(f"{server.url}/v1/predict", json={"row": ROW}, headers=headers, timeout=10).status_code
            )
        return found

    headers = {"Authorization": server.authorization}
    with ThreadPoolExecutor(100) as pool, ThreadPoolExecutor(1) as other:
        asked = other.submit(plain)
        answers = list(pool.map(explained, range(400)))
        done.set()
        assert asked.result() == {200}
    assert set(answers) <= {(200, 100), (503, 0)}
    assert answers.count((200, 100)) > 0
    assert len(reasons(server, OTHER)) == 4


@pytest.mark.sweep
def test_an_older_version_answers_and_says_that_it_gives_no_reasons(in_state: InState) -> None:
    project = in_state("new")
    name = deploy_result(project, "weak", reference=None)
    with serving(project, "staging") as server:
        assert server.predict(OTHER)["version"] == name
        answer = ask(server, "reasons=4")
        assert answer.status_code == 409
        assert answer.json()["detail"].startswith(f"{name} was made before versions had a reference row")
        document = requests.get(f"{server.url}/openapi.json", timeout=10).json()
        assert document["paths"]["/v1/predict"]["post"]["parameters"] == []


@pytest.mark.sweep
def test_the_version_that_answers_gives_the_reasons(in_state: InState) -> None:
    project = in_state("both deployed")
    deployment.rollback(project.staging)
    with serving(project, "staging") as server:
        rollout.roll_out(project.staging, "v2", 100)
        await_true(lambda: server.predict(user_id="user-1")["version"] == "v2")
        live, challenger = (ask(server, "reasons=4", row=OTHER, user_id=user).json() for user in (None, "user-1"))
        assert [one["version"] for one in (live, challenger)] == ["v1", "v2"]
        references = [project.staging.load_model(version).manifest.reference for version in ("v1", "v2")]
        found = [one["predictions"][0]["reasons"] for one in (live, challenger)]
        for own, reference in zip(found, references, strict=True):
            assert {one["field"]: one["reference"] for one in own} == reference
        assert references[0] != references[1]


@pytest.mark.sweep
def test_the_live_version_answers_when_a_challenger_cannot_explain(in_state: InState) -> None:
    project = in_state("new")
    deploy_result(project, "weak")
    deploy_result(project, "strong", reference=ROW | {"region": "nowhere"})
    failing = register_edited(project, fail_on_unseen_text)
    deployment.rollback(project.staging)
    with serving(project, "staging") as server:
        rollout.roll_out(project.staging, failing, 100)
        await_true(lambda: server.predict(user_id="user-1")["version"] == failing)
        answers = [ask(server, "reasons=4", row=OTHER, user_id="user-1").json() for _ in range(6)]
        assert {answer["version"] for answer in answers} == {"v1"}
        assert all(len(answer["predictions"][0]["reasons"]) == 4 for answer in answers)
        assert answers[0]["flag"] == {"key": "new_model", "variant": "off", "reason": "ERROR"}
        await_true(lambda: server.predict(user_id="user-1")["version"] == "v1")


@pytest.mark.parametrize(("columns", "rows"), [(4, 5120), (12, 20), (13, 49), (100, 6), (2000, 1)])
def test_more_columns_allow_fewer_rows_to_explain(columns: int, rows: int) -> None:
    assert max_explained(columns) == rows


class Waiting:
    """An explainer in this process, and a version whose scores come only when they are let."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.version = OpenVersion.open("v1", path, hashlib.sha256(path.read_bytes()).hexdigest())
        self.explainer = Explainer()
        self.go = threading.Event()
        found = type(self.version.scorer).probabilities

        def wait(*given: Any) -> Any:
            assert self.go.wait(30)
            return found(*given)

        monkeypatch.setattr(type(self.version.scorer), "probabilities", wait)

    def explain(self, rows: int = 1, *, is_wanted: bool = True) -> Any:
        given = [OTHER] * rows
        return self.explainer.explain(self.version, given, read_each(self.version, given), 4, lambda: is_wanted)


@pytest.fixture
def waiting(results: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    one = Waiting(results / "weak/models/model.onnx", monkeypatch)
    yield one
    one.go.set()
    one.explainer.pool.shutdown()


def test_too_many_rows_at_once_are_refused(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="has 5121 rows, but with `reasons` at most 5120 are allowed") as found:
        asyncio.run(waiting.explain(5121))
    assert found.value.status == 413
    monkeypatch.setattr(explainer, "MAX_WAITING", 2 * 2**4)

    async def ask_thrice() -> list[Any]:
        asked = [asyncio.ensure_future(waiting.explain()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting.go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    *answered, refused = asyncio.run(ask_thrice())
    assert [len(one[0]) for one in answered] == [4, 4]
    assert (refused.status, refused.headers) == (503, {b"retry-after": b"5"})
    # Those that are answered wait no more.
    assert len(asyncio.run(waiting.explain(2))) == 2


def test_a_version_that_never_ends_holds_up_nobody_for_ever(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explainer, "MAX_SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        asyncio.run(waiting.explain())


def test_a_client_that_has_gone_is_not_explained(waiting: Waiting) -> None:
    # It would wait for a score.
    assert asyncio.run(waiting.explain(is_wanted=False)) == [None]


def test_a_probability_that_is_no_number_is_an_error(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(waiting.version.scorer), "probabilities", lambda _, numbers, __: [math.nan] * len(numbers))
    with pytest.raises(ValueError, match="v1 gives NaN"):
        asyncio.run(waiting.explain())
