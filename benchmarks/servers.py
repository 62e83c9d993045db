"""The servers that are compared: ours with an environment of its own, a no-op of bare ASGI, and MLflow's."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from champion.core.files import sha256_of
from champion.core.layout import MODEL
from champion.delivery import deployment, keys
from champion.delivery.register import register
from champion.environments import load_environment
from champion.registry import history
from champion.registry.registry import Registry
from champion.registry.versions import ONNX_FILE
from champion.repository import git
from measure import BIN, REPOSITORY, use_own_staging

LOG = "predictions_url:"
ANSWER = {
    "request_id": "0" * 32,
    "version": "v1",
    "flag": None,
    "predictions": [{"warnings": [], "probability": 0.022228560526350916, "decision": False}],
}
NOOP = """
import sys
import uvicorn

ANSWER = sys.argv[2].encode()

async def answer(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})

uvicorn.run(answer, port=int(sys.argv[1]), http="httptools", ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, proxy_headers=False)
"""


def prepare(folder: Path) -> str:
    """A staging environment that serves the model, without a rate limit; its API key. `v2` is the same model again."""
    git.answer(folder, "init", "--quiet")
    (folder / ".dvc").mkdir()
    shutil.copytree(REPOSITORY / "config", folder / "config")
    config = folder / "config/environments.yaml"
    text = config.read_text().replace("    serving: { keys_required: false }\n", "")
    text = text.replace("    thresholds:", "    serving: { requests_per_second: 1000000 }\n    thresholds:")
    config.write_text("".join(line for line in text.splitlines(keepends=True) if LOG not in line))
    use_own_staging(folder)
    registered, _ = register(Registry.open(load_environment("staging", REPOSITORY)))
    registry = staging(folder)
    model = onnx.load_from_string(registry.read_file(registered, ONNX_FILE))
    model.doc_string = "the same model in another file"
    content = model.SerializeToString()
    sha256 = hashlib.sha256(content).hexdigest()
    registry.files.write(f"{sha256}/{ONNX_FILE}", content)
    row = history.registration(registry.rows, registered.name)
    details = {**row.details, "files": {**registered.files, ONNX_FILE: sha256}}
    with registry.ledger.appending() as session:
        session.append("register", version="v2", model_sha256=row.model_sha256, details=details)
    deployment.deploy(registry, "v1")
    _, key = keys.add(registry, "benchmark")
    return key


def staging(folder: Path) -> Registry:
    return Registry.open(load_environment("staging", folder))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, folder: Path, wait: float = 120) -> Iterator[int]:
    """A server process during the block; its port."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + wait
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"{' '.join(command[:4])} does not serve") from None
                time.sleep(0.1)
        # The socket is open before the workers are.
        time.sleep(5)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def serve_command(port: int) -> list[str]:
    return [str(BIN / "champion"), "serve", "--port", str(port), "--workers", "1"]


def log_answers(folder: Path) -> None:
    """Let a server that starts from now on log its answers."""
    config = folder / "config/environments.yaml"
    config.write_text(config.read_text().replace("    users_key:", f"    {LOG} sqlite:///log.db\n    users_key:"))


def noop_command(port: int) -> list[str]:
    return [sys.executable, "-c", NOOP, str(port), json.dumps(ANSWER)]


def mlflow_command(folder: Path, port: int) -> list[str]:
    """The command that serves the model, which it writes as MLflow needs it."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    import mlflow

    from champion.tracking.client import SHA256_PARAM
    from champion.tracking.pyfunc import LOADER

    mlflow.pyfunc.save_model(
        folder / "mlflow",
        loader_module=LOADER,
        data_path=str(REPOSITORY / MODEL),
        model_config={SHA256_PARAM: sha256_of(REPOSITORY / MODEL)},
        pip_requirements=[],
    )
    command = [str(BIN / "mlflow"), "models", "serve", "-m", str(folder / "mlflow"), "--env-manager", "local"]
    return [*command, "--port", str(port), "--workers", "1"]
