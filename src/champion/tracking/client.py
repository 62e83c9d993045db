"""MLflow of an environment: imported only when used, without log messages, and with one-sentence errors."""

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from champion.core.errors import UserError
from champion.core.masking import masked
from champion.environments import Environment

if TYPE_CHECKING:
    from mlflow import MlflowClient

VARIABLE = "MLFLOW_TRACKING_URI"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
# MLflow logs a model's configuration as params of its run.
SHA256_PARAM = "model_sha256"
# No telemetry; and a server that is down gives an error within seconds, not minutes.
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_SQLITE = "sqlite:///"


def tracking_uri(environment: Environment) -> str:
    """The address of MLflow's store: MLFLOW_TRACKING_URI, else the environment's `tracking_uri`."""
    return os.environ.get(VARIABLE) or environment.tracking_uri


def shown_uri(environment: Environment) -> str:
    """The tracking URI without the secrets that it may hold."""
    return masked(tracking_uri(environment))


def shared_name() -> str:
    """The name of the experiment and of the registered model; repositories that share a server need different names."""
    return os.environ.get(EXPERIMENT_VARIABLE) or "champion"


def in_use(environment: Environment) -> bool:
    """Whether MLflow is in use: a server is set, or the SQLite file exists."""
    try:
        uri = tracking_uri(environment)
    except UserError:
        return False
    return not uri.startswith(_SQLITE) or sqlite_file(uri).exists()


def installed() -> bool:
    """Whether MLflow is installed; this check does not import it."""
    return importlib.util.find_spec("mlflow") is not None


def sqlite_file(uri: str) -> Path:
    """The file of a SQLite URI."""
    return Path(uri.removeprefix(_SQLITE))


def artifact_folder(uri: str) -> str | None:
    """The folder for artifacts, next to a SQLite store; None for a server, which decides itself."""
    return (sqlite_file(uri).parent / "mlflow-artifacts").resolve().as_uri() if uri.startswith(_SQLITE) else None


def settings() -> dict[str, str]:
    """Environment variables for MLflow, without those that the user has set."""
    return {key: value for key, value in _DEFAULTS.items() if key not in os.environ}


@contextmanager
def connected(environment: Environment) -> Iterator["MlflowClient"]:
    """A client for the environment's store, which MLflow's own functions also use inside the block.

    Raises `UserError` when MLflow cannot be used.
    """
    uri = tracking_uri(environment)
    if not installed():
        raise UserError(
            "MLflow is not installed. Run `make setup GROUP=tracking`, or "
            "`pip install --no-deps --require-hashes -r requirements/tracking.txt`."
        )
    os.environ.update(settings())
    if uri.startswith(_SQLITE):
        sqlite_file(uri).parent.mkdir(parents=True, exist_ok=True)
    import mlflow
    from mlflow.exceptions import MlflowException

    # Otherwise MLflow logs every step of its migrations and checks.
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    before = os.environ.get(VARIABLE)
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        yield mlflow.MlflowClient()
    except MlflowException as error:
        reason = str(error).partition("\n")[0]
        shown = error.error_code if "://" in reason or "host=" in reason else reason
        raise UserError(
            f"MLflow of {environment.name} cannot be used ({shown}). Start the server, or correct {VARIABLE}. (The "
            "address is hidden: it may hold a password.)"
        ) from None
    finally:
        # MLflow sets the variable; without this reset, it would be the address of every environment.
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def experiment_id(client: "MlflowClient", environment: Environment) -> str:
    """The id of the experiment for our runs; the experiment is created if it is missing."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(shared_name())
    if found is None:
        try:
            return str(
                client.create_experiment(shared_name(), artifact_location=artifact_folder(tracking_uri(environment)))
            )
        except MlflowException:
            # Another process was faster.
            found = client.get_experiment_by_name(shared_name())
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise UserError(
            f"MLflow's experiment {shared_name()!r} was deleted. Restore it, or set {EXPERIMENT_VARIABLE} to another "
            "name."
        )
    return str(found.experiment_id)
