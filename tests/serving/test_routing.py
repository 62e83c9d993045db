"""A rollout reaches users by flags, harms nobody, and ends by itself when its version is unsound."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import onnx
import pytest
import requests
from onnx import helper, parser

from champion.delivery import deployment, keys, rollout
from champion.registry import history, standing
from support.delivery import DeliveryProject, InState
from support.edited import fail_on_unseen_text, register_edited
from support.serving import ROW, Server, await_true, edit_serving, serving
from support.webhook import Webhook

USERS = [f"user-{number}" for number in range(60)]


@pytest.fixture
def deployed(in_state: InState) -> DeliveryProject:
    """Staging serves v1, and could serve v2."""
    project = in_state("both deployed")
    deployment.rollback(project.staging)
    return project


def versions_by_user(server: Server) -> dict[str, str]:
    return {user: server.predict(user_id=user)["version"] for user in USERS}


def await_answer(server: Server, holds: Callable[[dict[str, Any]], bool], user: str | None = "user-1") -> None:
    await_true(lambda: holds(server.predict(user_id=user)))


def last_rollout(project: DeliveryProject) -> Any:
    return history.rollout(project.staging.rows, "staging")


def hang_on_large_number(model: onnx.ModelProto) -> None:
    """Let it count without end for a number above a million. It passes its smoke test."""
    counting = parser.parse_graph(
        "counting (int64 turn, bool goes, double count) => (bool still, double more)"
        "{ still = Identity(goes) one = Constant<value = double {1.0}>() more = Add(count, one) }"
    )
    extra = parser.parse_graph(
        "extra (double[N, 3] numbers, double[N] sound) => (double[N] probability) {"
        "largest = ReduceMax<keepdims = 0>(numbers)"
        "million = Constant<value = double {1000000.0}>()"
        "is_large = Greater(largest, million)"
        "turn = Cast<to = 7>(is_large)"
        "most = Constant<value = int64 {9223372036854775807}>()"
        "turns = Mul(turn, most)"
        "true = Constant<value = bool {1}>()"
        "zero = Constant<value = double {0.0}>()"
        "counted = Loop(turns, true, zero)"
        "none = Mul(counted, zero)"
        "probability = Add(sound, none)"
        "}"
    )
    next(node for node in extra.node if node.op_type == "Loop").attribute.append(
        helper.make_attribute("body", counting)
    )
    next(node for node in model.graph.node if "probability" in node.output).output[0] = "sound"
    model.graph.node.extend(extra.node)


def test_a_rollout_sends_the_same_users_to_a_version_until_it_ends(deployed: DeliveryProject) -> None:
    with serving(deployed, "staging", workers=2) as server:
        rollout.roll_out(deployed.staging, "v2", 30)
        await_true(lambda: "v2" in versions_by_user(server).values())
        some = versions_by_user(server)
        assert 5 < list(some.values()).count("v2") < 35
        assert versions_by_user(server) == some
        answer = server.predict(user_id=next(user for user in USERS if some[user] == "v2"))
        assert answer["flag"] == {"key": "new_model", "variant": "on", "reason": "TARGETING_MATCH"}
        assert server.predict()["version"] == "v1"
        rollout.roll_out(deployed.staging, "v2", 60)
        await_true(lambda: list(versions_by_user(server).values()).count("v2") > 30)
        more = versions_by_user(server)
        assert {user for user in USERS if some[user] == "v2"} < {user for user in USERS if more[user] == "v2"}
        rollout.roll_out(deployed.staging, "v2", 100, flag="advanced_preprocessing")
        await_true(lambda: set(versions_by_user(server).values()) == {"v2"})
        deployment.rollback(deployed.staging, "v2")
        await_answer(server, lambda answer: (answer["version"], answer["flag"]) == ("v2", None))
        deployment.rollback(deployed.staging, "v1")
        await_answer(server, lambda answer: (answer["version"], answer["flag"]) == ("v1", None))


@pytest.mark.sweep
def test_a_challenger_that_is_slow_falls_back_and_its_rollout_stops(deployed: DeliveryProject) -> None:
    edit_serving(deployed, challenger_ms=0.000001)
    with Webhook() as webhook, serving(deployed, "staging", workers=2, CHAMPION_WEBHOOK_URL=webhook.url) as server:
        rollout.roll_out(deployed.staging, "v2", 100)
        fallback = {"key": "new_model", "variant": "off", "reason": "ERROR"}
        flags = []

        def ask_and_look() -> bool:
            answer = server.predict(user_id="user-1")
            flags.append(answer["flag"])
            assert answer["version"] == "v1"
            return bool(last_rollout(deployed).details["automatic"])

        await_true(ask_and_look)
        await_answer(server, lambda answer: answer["flag"] is None)
        assert all(flag in (None, fallback) for flag in flags)
        ended = last_rollout(deployed)
        assert "slow" in ended.reason
        assert server.metric("champion_challenger_failures_total") != {}
    rows = [row for row in deployed.staging.rows if row.action == "rollout"]
    assert len(rows) == 2
    assert len([text for text in webhook.texts if text.startswith("rollout")]) == 1


def test_a_challenger_that_fails_on_some_rows_harms_no_answer(deployed: DeliveryProject) -> None:
    version = register_edited(deployed, fail_on_unseen_text)
    with serving(deployed, "staging") as server:
        rollout.roll_out(deployed.staging, version, 100)
        await_answer(server, lambda answer: answer["version"] == version)
        answers = [server.predict({"region": "nowhere"}, user_id="user-1") for _ in range(10)]
        assert {answer["version"] for answer in answers} == {"v1"}
        await_true(lambda: last_rollout(deployed).details["automatic"])
        assert "0 slow, 5 errors" in last_rollout(deployed).reason


@pytest.mark.sweep
def test_a_challenger_that_hangs_does_not_hinder_the_next_one(deployed: DeliveryProject) -> None:
    edit_serving(deployed, challenger_ms=1000)
    hanging = register_edited(deployed, hang_on_large_number)
    with serving(deployed, "staging") as server:
        rollout.roll_out(deployed.staging, hanging, 100)
        await_answer(server, lambda answer: answer["version"] == hanging)
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: server.predict({"income": 2e6}, user_id="user-1"), range(10)))
        assert {answer["version"] for answer in answers} == {"v1"}
        await_true(lambda: last_rollout(deployed).details["automatic"])
        assert f"{hanging} failed" in last_rollout(deployed).reason
        assert "0 errors" in last_rollout(deployed).reason
        rollout.roll_out(deployed.staging, "v2", 100)
        await_answer(server, lambda answer: answer["version"] == "v2")
        assert {server.predict(user_id=user)["version"] for user in USERS} == {"v2"}
        assert not last_rollout(deployed).details["automatic"]


@pytest.mark.sweep
def test_changes_beside_a_challenger_are_no_failures_of_it(deployed: DeliveryProject) -> None:
    # So long that only a lost answer can be slow.
    edit_serving(deployed, challenger_ms=20_000)
    same = register_edited(deployed, lambda _: None)
    with serving(deployed, "staging") as server:
        rollout.roll_out(deployed.staging, "v2", 100)
        await_answer(server, lambda answer: answer["version"] == "v2")
        versions = Counter[str]()

        def described(**headers: str) -> requests.Response:
            return requests.get(f"{server.url}/v1/model", headers=dict(server.session.headers) | headers, timeout=10)

        def ask_until(holds: Callable[[], bool]) -> None:
            """Ask all the time, with more than one request at once, until it holds."""
            ended = threading.Event()

            def ask() -> None:
                while not ended.is_set():
                    versions[server.post(rows=[ROW] * 100, user_id="user-1").json()["version"]] += 1

            with ThreadPoolExecutor(3) as pool:
                asked = [pool.submit(ask) for _ in range(3)]
                try:
                    await_true(holds, 30)
                finally:
                    ended.set()
            for one in asked:
                one.result()

        _, key = keys.add(deployed.staging, "another")
        another = {"Authorization": f"Bearer {key}"}
        ask_until(lambda: described(**another).status_code == 200)
        rollout.shadow(deployed.staging, same)
        ask_until(lambda: described().json()["shadow"] == same)
        rollout.shadow(deployed.staging, "v2")
        ask_until(lambda: described().json()["shadow"] == "v2")
        keys.revoke(deployed.staging, "another")
        ask_until(lambda: described(**another).status_code == 401)
        assert set(versions) == {"v2"}
        assert server.metric("champion_challenger_failures_total") == {}
        assert not last_rollout(deployed).details["automatic"]
        # Forgotten in the middle, it is no failure of the server either.
        rollout.stop(deployed.staging)
        ask_until(lambda: described().json()["versions"] == ["v1"])
        assert server.predict(user_id="user-1")["version"] == "v1"
        assert "Traceback" not in "\n".join(server.messages)


@pytest.mark.sweep
def test_an_unsound_version_ends_all_flags_and_leaves_a_finding_on_itself_only(deployed: DeliveryProject) -> None:
    unsound = register_edited(deployed, fail_on_unseen_text)
    with serving(deployed, "staging", workers=2) as server:
        rollout.roll_out(deployed.staging, "v2", 50)
        rollout.roll_out(deployed.staging, unsound, 100, flag="advanced_preprocessing")
        await_true(lambda: set(versions_by_user(server).values()) == {"v2", unsound})
        some = versions_by_user(server)
        # The first flag of the file wins, so nobody of its users gets the unsound version.
        flags = {version: server.predict(user_id=user)["flag"]["key"] for user, version in some.items()}
        assert flags == {"v2": "new_model", unsound: "advanced_preprocessing"}
        theirs = next(user for user in USERS if some[user] == unsound)

        def ask_and_look() -> bool:
            assert server.predict({"region": "nowhere"}, user_id=theirs)["version"] == "v1"
            return bool(last_rollout(deployed).details["automatic"])

        await_true(ask_and_look)
        await_true(lambda: set(versions_by_user(server).values()) == {"v1"})
        ended = last_rollout(deployed)
        assert (ended.details["unsound"], ended.details["ended"]) == (unsound, {"advanced_preprocessing": unsound})
        found = {name: standing.open_findings(deployed.staging.rows, name, ["staging"]) for name in ("v2", unsound)}
        assert found == {"v2": [], unsound: [ended]}
        rollout.roll_out(deployed.staging, "v2", 100)
        await_true(lambda: set(versions_by_user(server).values()) == {"v2"})


def test_a_shadow_scores_what_the_live_version_answers(deployed: DeliveryProject) -> None:
    register_edited(deployed, fail_on_unseen_text)
    with serving(deployed, "staging") as server:
        rollout.shadow(deployed.staging, "v2")
        await_true(lambda: server.session.get(f"{server.url}/v1/model", timeout=5).json()["shadow"] == "v2")
        rows = [{"income": income / 10, "age": 0, "noise": 0, "region": "north"} for income in range(-20, 20)]
        assert server.post(rows=rows, user_id="user-1").json()["version"] == "v1"
        await_true(lambda: server.metric("champion_shadow_rows_total") == {'{version="v2"}': 40})
        one, other = (deployed.staging.load_model(name).predict_row for name in ("v1", "v2"))
        difference = sum(abs(one(row) - other(row)) for row in rows)
        assert server.metric("champion_shadow_difference_total")['{version="v2"}'] == pytest.approx(difference)
        rollout.shadow(deployed.staging, "v3")
        await_true(lambda: server.session.get(f"{server.url}/v1/model", timeout=5).json()["shadow"] == "v3")
        assert server.predict({"region": "nowhere"})["version"] == "v1"
        await_true(lambda: server.metric("champion_shadow_errors_total") == {'{version="v3"}': 1})


@pytest.mark.sweep
def test_twenty_switches_under_load_fail_no_request(deployed: DeliveryProject) -> None:
    edit_serving(deployed, requests_per_second=1_000_000)
    with serving(deployed, "staging", workers=2) as server:
        ended, failures, answered = threading.Event(), [], {"v1": 0, "v2": 0}

        def ask() -> None:
            while not ended.is_set():
                try:
                    answered[server.predict()["version"]] += 1
                except Exception as error:
                    failures.append(repr(error))

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        for _ in range(10):
            for version in ("v2", "v1"):
                deployment.deploy(deployed.staging, version)
                server.await_version(version)
        ended.set()
        for client in clients:
            client.join()
    assert failures == []
    assert min(answered.values()) > 50
