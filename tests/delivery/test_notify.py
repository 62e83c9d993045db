"""Notifications reach a real web server on this machine, and its failures undo nothing."""

from collections.abc import Iterator

import pytest

from champion.core.errors import UserError
from champion.delivery import deployment, proof
from champion.delivery import listeners as followers
from champion.delivery import webhook as notify
from champion.delivery.register import register
from champion.delivery.webhook import VARIABLE, send
from support.delivery import DeliveryProject
from support.webhook import Webhook


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with Webhook() as server:
        monkeypatch.setenv(VARIABLE, server.url)
        yield server


def test_every_effect_is_told_in_one_sentence(delivery_project: DeliveryProject, webhook: Webhook) -> None:
    delivery_project.use_result("weak")
    register(delivery_project.staging)
    deployment.deploy(delivery_project.staging, "v1")
    proof.smoke_test(delivery_project.staging)
    assert [text.partition(", by ")[0] for text in webhook.texts] == [
        "register v1",
        "deploy v1 in staging",
        "smoke v1 in staging: passed",
    ]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_refusal_undoes_nothing_and_shows_no_address(
    delivery_project: DeliveryProject, webhook: Webhook, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    webhook.status = status
    delivery_project.use_result("weak")
    register(delivery_project.staging)
    assert deployment.deploy(delivery_project.staging, "v1").changed
    warning = capsys.readouterr().err
    assert f"answered with status {status}" in warning
    assert "s3cret" not in warning


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/s3cret", "s3cret", "ftp://s3cret", "http://[s3cret"])
def test_a_webhook_that_cannot_be_reached_undoes_nothing(
    delivery_project: DeliveryProject, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, url)
    delivery_project.use_result("weak")
    register(delivery_project.staging)
    assert deployment.deploy(delivery_project.staging, "v1").changed
    warning = capsys.readouterr().err
    assert "cannot be reached" in warning
    assert "s3cret" not in warning


def test_a_follower_that_breaks_undoes_nothing(
    delivery_project: DeliveryProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr(followers, "LISTENERS", [broken])
    delivery_project.use_result("weak")
    _, new = register(delivery_project.staging)
    assert new
    warning = capsys.readouterr().err
    assert "ZeroDivisionError" in warning
    assert "s3cret" not in warning


def test_without_a_webhook_nothing_is_sent_and_asking_for_it_says_so(
    delivery_project: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    delivery_project.use_result("weak")
    register(delivery_project.staging)
    notify.tell(delivery_project.staging, delivery_project.staging.rows[-1])
    with pytest.raises(UserError, match="CHAMPION_WEBHOOK_URL is not set"):
        send("hello")
