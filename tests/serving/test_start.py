"""A server that cannot start says why in one sentence."""

import socket
import subprocess

import pytest

from champion.registry.served import POINTER
from support.delivery import InState
from support.serving import CHAMPION

NO_S3 = {
    "CHAMPION_STORE_URL": "s3://bucket/stores",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.mark.parametrize(
    ("state", "options", "sentence"),
    [
        ("staged", [], "production serves nothing yet. Deploy a version first."),
        ("promoted", ["--port", "PORT"], "nothing can listen at 127.0.0.1:PORT: Address already in use. Choose"),
        ("promoted", ["--host", "no host"], "nothing can listen at no host:0: "),
        ("promoted without its pointer", [], "stores/production"),
        ("promoted without S3", [], "the store s3://bucket/stores/production cannot be used"),
        ("promoted with a broken model", [], "v1 is broken, so it is not served: "),
    ],
)
def test_a_server_that_cannot_start_says_why(
    in_state: InState, monkeypatch: pytest.MonkeyPatch, state: str, options: list[str], sentence: str
) -> None:
    project = in_state(state.partition(" ")[0])
    if "S3" in state:
        for name, value in NO_S3.items():
            monkeypatch.setenv(name, value)
    if "pointer" in state:
        pointer = project.root.parent / "stores/production" / POINTER
        pointer.unlink()
        pointer.mkdir()
    if "broken" in state:
        for path in (project.root.parent / "stores").rglob("model.onnx"):
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[:-1])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [str(CHAMPION), "serve", "--env", "production", "--port", "0", *options]
        done = subprocess.run(
            [word.replace("PORT", port) for word in command],
            cwd=project.root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert sentence.replace("PORT", port) in line
