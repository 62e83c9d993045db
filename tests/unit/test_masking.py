"""No message shows the password of a URL."""

import time
from pathlib import Path

import pytest
import requests

from champion.core.endings import one_line_errors
from champion.core.errors import UnavailableError, UserError, warn
from champion.core.masking import holds_password, masked
from champion.delivery import log_shipping, webhook
from champion.registry.stores import Store

SECRETS = [
    "s3://KEY:hunter2@host/models",
    "s3://KEY:hunter2/with+slashes@host/models",
    "https://ada:hunter2@host",
    "https://ada:hunter2%40home@host/x",
    "https://ada:hunter2@home@host/x",
    "https://ada:hunter2/?@host",
    "https://ada:hunter2's@host",
    "https://hunter2@github.com/x",
    "postgresql+psycopg://ada:hunter2@host:5432/db",
    "postgresql://host/db?user=ada&password=hunter2",
    "https://host/x?X-Amz-Signature=hunter2&X-Amz-Date=1",
    "s3%3A%2F%2FKEY%3Ahunter2%40host%2Fmodels",
    *(f"s3://KEY:{port}{mark}hunter2@host/models" for port in ("1", "12345") for mark in "/?#'\",)] <>|:"),
    "ftp://ada:hunt er2/hunter2@host",
    "ftp://ada: hunter2@host",
    "ftp://a'd?a:hunter2@host",
    "https://'hunter2?#<>@host/x",
    "mssql+pyodbc://host/?odbc_connect=DRIVER%3D%7Bx%7D%3BUID%3Dada%3BPWD%3Dhunter2%3Bx%3D1",
    "mssql+pyodbc://host/?odbc_connect=PWD=hunter2",
    "https://host/?auth=hunter2",
    "https://host/?password='hunter2'",
    "https://host/?password='hun hunter2'",
    "https://host/?password=a'hunter2;hunter2",
    "https://host/#token=hunter2",
]
HARMLESS = [
    "https://host/x?y=1#z",
    "http://127.0.0.1:5000/#/a@b",
    "http://localhost:80 by ada@example.org",
    "http://[::1]:80/x@y and http://127.0.0.1:8080/x",
    "https://host/x is down, says ada@example.org",
    "s3://bucket/a@b",
    "sqlite:////var/ada@home/ledger.db",
    "postgresql+psycopg://user:password@host/database",
    "git+https://github.com/a/b@v1",
]


@pytest.mark.parametrize("url", SECRETS)
def test_a_secret_in_a_url_is_masked(url: str) -> None:
    for text in (url, f"({url})", f"cannot open '{url}': it is down.", f"{url}, {url}"):
        assert "hunter2" not in masked(text)
        assert "***" in masked(text)
        assert masked(masked(text)) == masked(text)
    assert "host" in masked(url) or "github" in masked(url)


@pytest.mark.parametrize("url", HARMLESS)
def test_a_url_without_a_secret_is_shown_as_it_is(url: str) -> None:
    assert masked(url) == url


@pytest.mark.parametrize("url", SECRETS)
def test_every_error_and_warning_masks(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    warn(f"{url} is down")
    with pytest.raises(SystemExit) as stop, one_line_errors():
        raise UserError(f"{url} is down.")
    with pytest.raises(SystemExit) as other, one_line_errors():
        raise PermissionError(13, "Permission denied", url)
    told = [capsys.readouterr().err, stop.value.code, other.value.code, log_shipping.told(OSError(f"{url} is down"))]
    assert all("***" in str(one) for one in told)
    assert "hunter2" not in str(told)


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("postgresql://ada:hunter2@host/db", True),
        ("s3://KEY:hunter2/x@host", True),
        ("postgresql://ada@host/db", False),
        ("postgresql://ada:@host/db", False),
        ("http://127.0.0.1:5000/a@b", False),
        ("http://host:5000/a", False),
        ("s3://KEY:12/hunter2@bucket/x", True),
        ("s3://KEY:hun ter2@bucket/x", True),
        ("s3://KEY:hun\nter2@bucket/x", True),
        ("postgresql://host/db?user=ada&password=hunter2", True),
        ("postgresql://host/db?user=ada&password=&sslmode=require", False),
    ],
)
def test_a_password_is_told_from_a_port(url: str, answer: bool) -> None:
    assert holds_password(url) == answer


def test_a_line_of_many_addresses_is_masked_soon() -> None:
    started = time.monotonic()
    assert "***" in masked("://a:" * 20_000 + "@")
    assert "***" not in masked("://a:" * 20_000)
    assert time.monotonic() - started < 1


def test_a_remote_store_shows_nothing_before_an_at() -> None:
    assert Store("s3://my KEY:12/hunter2@bucket/models").url == "s3://***@bucket/models"
    assert Store("s3://bucket/models").url == "s3://bucket/models"


def test_a_store_works_with_its_password_and_shows_none(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}/ada:hunter2@host")
    store.write("a", b"content")
    assert store.read("a") == b"content"
    remote = Store("s3://KEY:hunter2@host/models")
    assert (remote.url, repr(remote)) == ("s3://***@host/models", "Store('s3://***@host/models')")


def test_what_a_library_says_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://ada:hunter2@127.0.0.1:9")
    with pytest.raises(UnavailableError, match=r"the store s3://\*\*\*@bucket/models cannot be used") as error:
        Store("s3://KEY:hunter2@bucket/models").read("a")
    assert "hunter2" not in str(error.value)


def test_a_notification_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def post(_url: str, **options: dict[str, str]) -> requests.Response:
        sent.append(options["json"]["text"])
        answer = requests.Response()
        answer.status_code = 200
        return answer

    monkeypatch.setattr(requests, "post", post)
    monkeypatch.setenv(webhook.VARIABLE, "https://hooks.example.org/x")
    webhook.send("the store s3://KEY:hunter2@host/models cannot be used")
    assert sent == ["the store s3://***@host/models cannot be used"]
