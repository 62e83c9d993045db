"""Airflow on this machine, with the DAG in dags/."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from champion.core.errors import UserError
from champion.repository.loopback import HOST, ending_politely, is_free, started

PROGRAM = Path(".airflow/bin/airflow")
# Airflow's database, logs and passwords.
HOME = Path("var/airflow")
PASSWORDS = "simple_auth_manager_passwords.json.generated"
# `airflow standalone` would start log servers besides, which other machines can reach.
PARTS = (("api-server", "--workers", "1"), ("dag-processor",), ("scheduler", "--skip-serve-logs"))


def serve(root: Path, port: int, say: Callable[[str], None]) -> None:
    """Run Airflow's page and scheduler until Ctrl-C, SIGTERM or a closed terminal. Only this machine can open the page.

    Raises `UserError` when Airflow is not installed, the port is taken, or a part of Airflow ends by itself.
    """
    if not (root / PROGRAM).is_file():
        raise UserError("Airflow is not installed here. `make airflow` installs it in .airflow/ and starts it.")
    if not is_free(port):
        raise UserError(f"port {port} is taken. Choose another with --port.")
    (root / HOME).mkdir(parents=True, exist_ok=True)
    variables = _variables(root.resolve(), port)
    try:
        with ending_politely(), ExitStack() as running:
            with _started(root, ("db", "migrate"), variables) as migration:
                if migration.wait():
                    raise _failure("db")
            parts = {part[0]: running.enter_context(_started(root, part, variables)) for part in PARTS}
            say(
                f"Airflow's page starts in some seconds: http://{HOST}:{port}/dags/champion_retrain (Ctrl-C ends "
                f"it). The password of its user `admin` will be in {HOME / PASSWORDS}."
            )
            while True:
                for name, process in parts.items():
                    if process.poll() is not None:
                        raise _failure(name)
                time.sleep(0.2)
    except KeyboardInterrupt:
        say(f"Stopped. {HOME} keeps Airflow's database and logs for the next time.")


def _variables(root: Path, port: int) -> dict[str, str]:
    """Airflow's settings: everything in one folder, only our DAG, and only this machine."""
    programs = (root / PROGRAM).parent
    return os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(root / HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # One step runs at a time.
        "AIRFLOW__CORE__PARALLELISM": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{root / HOME}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(root / HOME / "logs"),
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
    }


@contextmanager
def _started(root: Path, command: tuple[str, ...], variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The part of Airflow, which ends with the block, and with it the task that it runs."""
    with (root / _log(command[0])).open("wb") as log:
        options = {"cwd": root, "env": variables, "stdout": log, "stderr": subprocess.STDOUT}
        with started([str(root / PROGRAM), *command], **options) as process:
            yield process


def _failure(name: str) -> UserError:
    return UserError(f"Airflow's {name} ended; {_log(name)} says why.")


def _log(name: str) -> Path:
    return HOME / f"{name}.log"
