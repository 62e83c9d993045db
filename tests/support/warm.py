"""Stages that need not import the libraries again: forks of a process that has imported them.

On a small table, a stage takes three seconds to import scikit-learn, six for Great Expectations, and one for its work.
So `warm` puts a `python` first on the path that asks this process for a fork. The fork has the stage's arguments,
folder, environment and streams, and imports the project's own code. Stages start as a user's do in the run on the whole
loan file, in the experiments, and where a run with other threads and another hash seed must give the same bytes.
"""

import contextlib
import importlib
import json
import os
import runpy
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from filelock import FileLock

# What this worker started.
_STARTED: list[tuple["subprocess.Popen[bytes]", Path]] = []

LIBRARIES = (
    "great_expectations",
    "onnx",
    "onnxruntime",
    "pandas",
    "polars",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.experimental.enable_halving_search_cv",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "skops.io",
)

# It imports a little of the standard library. When the process is gone, or something else is to run, it becomes the
# real Python.
CLIENT = """#!{python} -IS
import json, os, socket, sys

words = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as connection:
    try:
        if len(words) != 2 or words[0] != "-m" or not words[1].startswith("champion.pipeline."):
            raise ConnectionError
        connection.connect({address!r})
    except OSError:
        os.execv({python!r}, [{python!r}, *words])
    request = json.dumps([words[1], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(request)
    status = connection.recv(1)
sys.exit(status[0] if status else "the stage's process ended without a word")
"""


def warm() -> dict[str, str]:
    """The environment in which a stage is a fork."""
    folders = [warm_python().parent, Path(sys.executable).parent, os.environ["PATH"]]
    return {"PATH": os.pathsep.join(map(str, folders))}


def warm_python() -> Path:
    """A `python` whose stages are forks, in a folder with the real `dvc`.

    The first worker of a test run that asks starts the process, which ends with the worker.
    """
    # The address of a socket may have only a hundred characters.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"warm-{run}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir(mode=0o700)
            _start(folder)
    return folder / "python"


def _start(folder: Path) -> None:
    address, client = str(folder / "socket"), folder / "python"
    process = subprocess.Popen(
        [sys.executable, __file__, address], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    _STARTED.append((process, folder))
    assert process.stdout is not None
    assert process.stdout.readline(), "it ended"
    client.write_text(CLIENT.format(python=sys.executable, address=address), encoding="utf-8")
    client.chmod(0o755)
    (folder / "dvc").symlink_to(Path(sys.executable).with_name("dvc"))


def stop() -> None:
    """End the process that this worker started, if it did."""
    for process, folder in _STARTED:
        shutil.rmtree(folder)
        process.communicate()
        folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)


def serve(address: str) -> None:
    """Fork for each request, until the process that started this ends."""
    # Great Expectations reads this at import; without it, it would make a network call.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings(action="ignore"):
        for name in LIBRARIES:
            importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in (ready := select.select([listener, sys.stdin], [], [], 1)[0]):
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if ready:
                connection, _ = listener.accept()
                if os.fork() == 0:
                    listener.close()
                    _become_stage(connection)
                connection.close()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _become_stage(connection: socket.socket) -> None:
    size, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as stream:
        module, folder, environment = json.loads(stream.read(int.from_bytes(size, "big")))
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    own = [str(Path(folder, name)) for name in environment.get("PYTHONPATH", "").split(os.pathsep) if name]
    sys.path[:] = [folder, *own, *sys.path[1:]]
    sys.argv[:] = [module]
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        status = 1
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    connection.sendall(bytes([status]))
    os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
