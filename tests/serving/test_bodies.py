"""Any body gets an answer or a problem."""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from champion.environments import Serving
from champion.registry.api_keys import ApiKeys
from champion.serving import metrics
from champion.serving.admission import Admission
from champion.serving.exchange import Exchange
from champion.serving.limits import RateLimit, make_file
from champion.serving.live_model import LiveModel, OpenVersion
from champion.serving.predictor import Predictor
from champion.serving.routing import Router
from champion.serving.state import State
from support.serving import ROW

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["\ue000", "\ue001", "\0", "north", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from([*ROW]), inner, max_size=3),
    max_leaves=10,
)
ROWS = st.fixed_dictionaries(dict.fromkeys(ROW, JSON_VALUES)) | st.dictionaries(st.sampled_from([*ROW]), JSON_VALUES)
BODY = (
    JSON_VALUES
    | st.fixed_dictionaries({"row": ROWS}, optional={"user_id": JSON_VALUES, "rows": JSON_VALUES})
    | st.fixed_dictionaries({"rows": st.lists(ROWS | JSON_VALUES, max_size=3)})
)


@pytest.fixture(scope="module")
def ask(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bytes], tuple[int, Any]]]:
    """The predictor in this process, asked with a body; it answers with a status and a JSON value."""
    folder = tmp_path_factory.mktemp("limits")
    make_file(folder, 1)
    limit = RateLimit(folder, 0, 1, 1)
    path = results / "weak/models/model.onnx"
    version = OpenVersion.open("v1", path, hashlib.sha256(path.read_bytes()).hexdigest())
    live = LiveModel(State(1, "test", "v1", {}), {"v1": version}, None, ApiKeys({}))
    told: list[dict[str, Any]] = []
    router = Router(Serving(keys_required=False), told.append)
    unlimited = Serving(keys_required=False)
    predictor = Predictor(live, unlimited, router, Admission(unlimited, limit), metrics.Buffer())

    async def asked(body: bytes) -> tuple[int, Any]:
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        exchange = Exchange(b"POST", b"", {}, False, lambda _, answer: answered.set_result(answer))
        exchange.body += body
        exchange.is_whole = True
        predictor.go_on(exchange)
        head, _, content = (await answered).partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(content)

    with asyncio.Runner() as runner:
        yield lambda body: runner.run(asked(body))
    router.close()
    limit.close()


@settings(max_examples=400, deadline=None, derandomize=True)
@given(body=BODY)
def test_any_json_value_gives_an_answer_or_a_problem(ask: Callable[[bytes], tuple[int, Any]], body: Any) -> None:
    status, answer = ask(json.dumps(body).encode())
    if status == 200:
        rows = [body["row"]] if body.get("row") is not None else body["rows"]
        assert len(answer["predictions"]) == len(rows)
        assert all(0 <= one["probability"] <= 1 for one in answer["predictions"])
    else:
        assert status in (400, 413, 422)
        assert answer["status"] == status
        for error in answer.get("errors", []):
            assert error.get("field") is None or error["field"] in ROW
        wrong = re.fullmatch(r"(\d+) values? (is|are) wrong\.", answer["detail"])
        assert wrong is None or int(wrong[1]) == len(answer["errors"]) > 0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(body=st.binary() | st.text(alphabet='{}[]":,0e+-. \\u').map(str.encode))
def test_any_bytes_give_an_answer_or_a_problem(ask: Callable[[bytes], tuple[int, Any]], body: bytes) -> None:
    status, answer = ask(body)
    assert status in (400, 422)
    assert answer["detail"].endswith(".")
