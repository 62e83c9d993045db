"""The same deliveries on a real S3 server, also when the connection drops."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.delivery import deployment, proof
from champion.delivery.audit import differences
from champion.delivery.challenge import challenge
from champion.delivery.register import register
from champion.registry.served import read_model, read_pointer
from champion.repository.local_s3 import LocalServer
from support.delivery import DeliveryProject
from support.s3 import running_server

BUCKET = "models"


class Proxy:
    """Forwards connections to a port until it is cut; then it closes them all and accepts no more."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.cut = False
        self.cut_before: bytes | None = None
        self.cut_answer_to: bytes | None = None
        self.asked = False
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.cut:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            self.open += [client, server]
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, asking: bool) -> None:
        try:
            while data := source.recv(65536):
                if asking and self.cut_answer_to is not None and self.cut_answer_to in data:
                    self.asked = True
                answered = not asking and self.asked and not data.startswith(b"HTTP/1.1 100")
                if answered or (self.cut_before is not None and self.cut_before in data):
                    self.drop()
                    return
                sink.sendall(data)
        except OSError:
            return
        finally:
            for one in (source, sink):
                one.close()

    def drop(self) -> None:
        self.cut = True
        for one in self.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.open.clear()

    def mend(self) -> None:
        self.cut, self.asked = False, False
        self.cut_before = self.cut_answer_to = None

    def close(self) -> None:
        self.drop()
        self.listener.close()


def forget_connections() -> None:
    """fsspec keeps a client for the whole process, with the endpoint and credentials it was first given."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with running_server(tmp_path_factory.mktemp("s3"), BUCKET) as running:
        yield running


@pytest.fixture
def proxy(server: LocalServer) -> Iterator[Proxy]:
    made = Proxy(server.port)
    yield made
    made.close()


@pytest.fixture
def on_s3(
    delivery_project: DeliveryProject,
    server: LocalServer,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> DeliveryProject:
    """A project whose registry and stores are in S3, behind the proxy."""
    for name, value in (server.environment | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("CHAMPION_STORE_URL", f"s3://{BUCKET}/{tmp_path.name}")
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    forget_connections()
    return delivery_project


def test_a_model_goes_to_production_and_back_on_s3(on_s3: DeliveryProject) -> None:
    for result in ("weak", "strong"):
        on_s3.use_result(result)
        version, _ = register(on_s3.staging)
        assert challenge(on_s3.staging).won
        deployment.deploy(on_s3.staging, version.name)
        assert proof.smoke_test(on_s3.staging)[1].passed
        deployment.promote(on_s3.production)
    deployment.rollback(on_s3.production)
    live = read_pointer(on_s3.production.environment)
    assert live.version == "v1"
    assert read_model(on_s3.production.environment, live)
    assert on_s3.production.load_model("production").manifest.base_rate > 0
    assert differences(on_s3.production) == []


def put_of_pointer(tmp_path: Path) -> bytes:
    return f"PUT /{BUCKET}/{tmp_path.name}/staging/current.json".encode()


def deploy_the_first_of_two(project: DeliveryProject) -> None:
    for result in ("weak", "strong"):
        project.use_result(result)
        register(project.staging)
    deployment.deploy(project.staging, "v1")


def test_a_connection_that_drops_leaves_the_old_model_serving(
    on_s3: DeliveryProject, proxy: Proxy, tmp_path: Path
) -> None:
    deploy_the_first_of_two(on_s3)
    sha256 = on_s3.staging.rows[1].model_sha256
    # The connection drops while it reads, while it copies the model, and while it switches the pointer.
    for request in (b"GET /", f"PUT /{BUCKET}".encode(), put_of_pointer(tmp_path)):
        for key in ("model.skops", "examples.json"):
            on_s3.staging.store.remove(f"{sha256}/{key}")
        proxy.cut_before = request
        with pytest.raises(UserError, match=r"cannot be used"):
            deployment.deploy(on_s3.staging, "v2")
        proxy.mend()
        live = read_pointer(on_s3.staging.environment)
        assert live.version == "v1"
        assert read_model(on_s3.staging.environment, live)
        assert on_s3.staging.rows[-1].version == "v1"
    assert deployment.deploy(on_s3.staging, "v2").changed
    assert differences(on_s3.staging) == []


def test_a_switch_whose_answer_is_lost_is_recorded_by_the_next_command(
    on_s3: DeliveryProject, proxy: Proxy, tmp_path: Path
) -> None:
    deploy_the_first_of_two(on_s3)
    proxy.cut_answer_to = put_of_pointer(tmp_path)
    with pytest.raises(
        UserError, match=r"The next deploy, promote, rollback or smoke that reaches both will record it"
    ):
        deployment.deploy(on_s3.staging, "v2")
    proxy.mend()
    assert read_pointer(on_s3.staging.environment).version == "v2"
    assert proof.smoke_test(on_s3.staging)[1].passed
    rows = on_s3.staging.rows
    assert [(row.action, row.version) for row in rows[-2:]] == [("repair", "v2"), ("smoke", "v2")]
    assert differences(on_s3.staging) == []


def test_wrong_credentials_are_one_sentence(on_s3: DeliveryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    forget_connections()
    with pytest.raises(UserError, match=r"cannot be used") as caught:
        register(on_s3.staging)
    assert "hunter2" not in str(caught.value)
