"""MLflow's web page on this machine."""

import os
import sys
from collections.abc import Callable

from champion.core.errors import UserError
from champion.environments import Environment
from champion.repository.loopback import HOST, ending_politely, is_free, started
from champion.tracking.client import connected, experiment_id, settings, tracking_uri


def serve(environment: Environment, port: int, say: Callable[[str], None]) -> None:
    """Serve the page of the environment's SQLite store until Ctrl-C, SIGTERM or a closed terminal.

    Only this machine can open it.
    """
    uri = tracking_uri(environment)
    if not uri.startswith("sqlite"):
        raise UserError(f"{environment.name} tracks to a server, which has its own page. Open the server's address.")
    with connected(environment) as client:
        experiment = experiment_id(client, environment)
    if not is_free(port):
        raise UserError(f"port {port} is taken. Choose another with --port.")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", HOST]
    # One worker is enough for one person and starts three times faster. We use no jobs.
    command += ["--port", str(port), "--workers", "1"]
    variables = settings() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    # The experiment's address without `/runs` would show traces, and there are none.
    say(f"MLflow's page starts in a few seconds: http://{HOST}:{port}/#/experiments/{experiment}/runs (Ctrl-C ends it)")
    try:
        with ending_politely(), started(command, env=os.environ | variables) as server:
            status = server.wait()
    except KeyboardInterrupt:
        say("Stopped.")
        return
    if status:
        raise UserError(f"MLflow's page ended with status {status}; its output above says why.")
