"""No message shows the password of a URL."""

from pathlib import Path

import pytest
import requests

from champion.core.errors import UnavailableError, UserError, one_line_errors, warn
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
]
HARMLESS = [
    "https://host/x?y=1#z",
    "http://127.0.0.1:5000/#/a@b",
    "http://host:80 by ada@example.org",
    "sqlite:////var/ada@home/ledger.db",
    "postgresql+psycopg://user:password@host/database",
    "git+https://github.com/a/b@v1",
]


@pytest.mark.parametrize("url", SECRETS)
def test_a_secret_in_a_url_is_masked(url: str) -> None:
    for text in (url, f"({url})", f"cannot open '{url}': it is down.", f"{url}, {url}"):
        assert "hunter2" not in masked(text)
        assert "***" in masked(text)
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
        ("http://host:5000/a@b", False),
    ],
)
def test_a_password_is_told_from_a_port(url: str, answer: bool) -> None:
    assert holds_password(url) == answer


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
