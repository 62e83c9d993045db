"""A server answers with what its environment serves, and follows every switch."""

from collections.abc import Iterator

import polars as pl
import pytest
import requests

from champion.delivery import deployment
from champion.delivery.keys import add, revoke
from support.delivery import DeliveryProject, InState
from support.serving import ROW, Server, await_true, serving


@pytest.fixture
def promoted(in_state: InState) -> DeliveryProject:
    return in_state("promoted, staged")


@pytest.fixture
def server(promoted: DeliveryProject) -> Iterator[Server]:
    with serving(promoted, workers=2) as one:
        yield one


def test_a_server_answers_as_the_model_does_and_follows_every_switch(promoted: DeliveryProject, server: Server) -> None:
    rows = [ROW | {"age": age, "region": region} for age in (None, 0.5, 10) for region in ("south", None, "nowhere")]
    answers = server.post(rows=rows).json()
    model = promoted.production.load_model("v1")
    expected = model.predict(pl.DataFrame(rows))
    assert [one["probability"] for one in answers["predictions"]] == pytest.approx(expected, abs=1e-9)
    assert [one["decision"] for one in answers["predictions"]] == list(expected >= model.manifest.cut)
    assert (answers["version"], answers["flag"]) == ("v1", None)
    assert answers["predictions"][-1]["warnings"] == [{"field": "region", "reason": "unseen"}]
    deployment.promote(promoted.production)
    server.await_version("v2")
    deployment.rollback(promoted.production)
    server.await_version("v1")
    assert requests.get(f"{server.url}/health/ready", timeout=5).json() == {"status": "ready"}
    assert server.session.get(f"{server.url}/v1/model", timeout=5).json()["version"] == "v1"
    assert server.metric("champion_served") == {'{version="v1"}': 1, '{version="v2"}': 0}


def test_a_key_is_valid_from_its_addition_to_its_revocation(promoted: DeliveryProject, server: Server) -> None:
    ask = f"{server.url}/v1/predict"

    def status(key: str) -> int:
        return requests.post(ask, json={"row": ROW}, headers={"Authorization": f"Bearer {key}"}, timeout=5).status_code

    assert requests.post(ask, json={"row": ROW}, timeout=5).status_code == 401
    assert status("wrong") == 401
    _, key = add(promoted.production, "another")
    await_true(lambda: status(key) == 200)
    revoke(promoted.production, "another")
    await_true(lambda: status(key) == 401)
    server.predict()
