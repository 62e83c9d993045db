"""Programs that need not import the libraries again: forks of a process that has imported them.

On a small table, a stage takes three seconds to import scikit-learn, six for Great Expectations, and one for its work.
A command of DVC takes one second to import DVC, before it does anything. So `warm` puts a `python`, a `dvc` and a
`champion` first on the path that ask this process for a fork; `python` does so for a stage or a file. The fork has the
program's arguments, folder, environment and streams, and imports the project's own code. Stages start as a user's do in
the run on the whole loan file and in the experiments.
"""

import contextlib
import gc
import hashlib
import importlib
import json
import os
import pkgutil
import runpy
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

# What this worker started.
_STARTED: list[tuple["subprocess.Popen[bytes]", Path]] = []

LIBRARIES = (
    "dvc.cachemgr",
    "dvc.cli.parser",
    "dvc.data_cloud",
    "dvc.render.converter.vega",
    "dvc.repo.experiments",
    "dvc.repo.graph",
    "dvc.repo.index",
    "dvc.repo.metrics.diff",
    "dvc.repo.open_repo",
    "dvc.repo.params.diff",
    "dvc.repo.plots",
    "dvc.repo.worktree",
    "dvc.scm",
    "dvc_data.index.collect",
    "dvc_data.index.fetch",
    "dvc_data.index.push",
    "dvc_s3",
    "great_expectations",
    "jinja2",
    "markdown_it",
    "networkx",
    "onnx",
    "onnxruntime",
    "pandas",
    "polars",
    "psycopg",
    "pyarrow.parquet",
    "pydantic",
    "pygit2",
    "requests",
    "rich.table",
    "s3fs",
    "scipy.stats",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.experimental.enable_halving_search_cv",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "skops.io",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "vl_convert",
)

# The functions of the programs beside `python`.
MAINS = {"champion": "champion.cli.main:app", "dvc": "dvc.cli:main"}

# It imports a little of the standard library. When the process is gone, or something else is to run, it becomes the
# real program. Its own name says which one it is.
CLIENT = """#!{python} -IS
import json, os, socket, sys

name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
real = [{python!r}] if name == "python" else [{python!r}, os.path.join({programs!r}, name)]
with socket.socket(socket.AF_UNIX) as connection:
    try:
        folders = ("champion.pipeline.", "champion.retraining.replay.")
        stage = words[0] == "-m" and words[1].startswith(folders)
        if name == "python" and not stage and not words[0].endswith(".py"):
            raise ConnectionError
        connection.connect({address!r})
    except OSError:
        os.execv(real[0], [*real, *words])
    program = os.path.abspath(sys.argv[0])
    request = json.dumps([program, words, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(request)
    status = connection.recv(1)
sys.exit(status[0] if status else "the program's process ended without a word")
"""


def warm() -> dict[str, str]:
    """The environment in which a stage is a fork."""
    folders = [warm_programs(), Path(sys.executable).parent, os.environ["PATH"]]
    return {"PATH": os.pathsep.join(map(str, folders))}


def warm_programs(environment: Mapping[str, str] | None = None) -> Path:
    """The folder of a `python` whose stages and files are forks, and of a `dvc` and a `champion` that are.

    With an environment, they are forks of another process, which had it from its start.
    """
    return _started(environment or {}) / "all"


def warm_dvc() -> Path:
    """The folder of a `dvc` that is a fork, and of a `python` whose stages are not."""
    return _started({}) / "dvc"


def _started(environment: Mapping[str, str]) -> Path:
    """The folder of the process. The first worker of a test run that asks starts it, and it ends with that worker."""
    # The address of a socket may have only a hundred characters.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    other = hashlib.sha256(repr(sorted(environment.items())).encode()).hexdigest()[:8] if environment else ""
    folder = Path(tempfile.gettempdir()) / f"warm-{run}{other}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir(mode=0o700)
            _start(folder, environment)
    return folder


def _start(folder: Path, environment: Mapping[str, str]) -> None:
    address, programs = str(folder / "socket"), Path(sys.executable).parent
    process = subprocess.Popen(
        [sys.executable, __file__, address],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    _STARTED.append((process, folder))
    assert process.stdout is not None
    assert process.stdout.readline(), "it ended"
    client = CLIENT.format(python=sys.executable, programs=str(programs), address=address)
    real = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n'
    for program, content in {
        **{f"all/{name}": client for name in ("python", *MAINS)},
        "dvc/dvc": client,
        "dvc/python": real,
    }.items():
        path = folder / program
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        path.chmod(0o755)


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
        # DVC imports its commands here.
        pkgutil.resolve_name("dvc.cli.parser:get_main_parser")()
    # Else each fork would look through millions of objects for garbage.
    gc.freeze()
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
                    _become_program(connection)
                connection.close()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _become_program(connection: socket.socket) -> None:
    size, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as stream:
        program, words, folder, environment = json.loads(stream.read(int.from_bytes(size, "big")))
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    path = Path(program)
    # A program looks for others next to its Python.
    sys.executable = str(path.with_name("python"))
    own = [str(Path(folder, name)) for name in environment.get("PYTHONPATH", "").split(os.pathsep) if name]
    sys.path[:] = [folder if path.name == "python" else str(path.parent), *own, *sys.path[1:]]
    status = 0
    try:
        if path.name != "python":
            sys.argv[:] = [program, *words]
            sys.exit(pkgutil.resolve_name(MAINS[path.name])())
        elif words[0] == "-m":
            sys.argv[:] = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv[:] = words
            sys.path[0] = str(Path(words[0]).parent)
            runpy.run_path(words[0], run_name="__main__")
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
