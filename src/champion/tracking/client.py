"""MLflow as an environment has it: imported when it is used, quiet, and with its errors in one sentence."""

import importlib.util
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from champion.core.errors import UserError
from champion.environments import Environment

if TYPE_CHECKING:
    from mlflow import MlflowClient

VARIABLE = "MLFLOW_TRACKING_URI"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
# MLflow makes what configures a model a param of its run.
SHA256_PARAM = "model_sha256"
# Nothing is sent home; a server that is down is given up on within seconds, not minutes.
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_SQLITE = "sqlite:///"


def tracking_uri(environment: Environment) -> str:
    """Where MLflow keeps the environment's runs and aliases: MLFLOW_TRACKING_URI, else what the environment says."""
    return os.environ.get(VARIABLE) or environment.tracking_uri


def shown_uri(environment: Environment) -> str:
    """The same to be shown: without user, password and query, which may hold a secret."""
    uri = tracking_uri(environment)
    return uri if uri.startswith(_SQLITE) else re.sub(r"(?<=://).*@", "", uri).partition("?")[0]


def shared_name() -> str:
    """The experiment's name, and the registered model's: one MLflow server can hold those of many repositories."""
    return os.environ.get(EXPERIMENT_VARIABLE) or "champion"


def in_use(environment: Environment) -> bool:
    """Whether anything was ever tracked there: a server is set, or the SQLite file exists."""
    try:
        uri = tracking_uri(environment)
    except UserError:
        return False
    return not uri.startswith(_SQLITE) or sqlite_file(uri).exists()


def installed() -> bool:
    """Whether MLflow can be imported, found out without importing it."""
    return importlib.util.find_spec("mlflow") is not None


def sqlite_file(uri: str) -> Path:
    """The file of a SQLite URI."""
    return Path(uri.removeprefix(_SQLITE))


def artifact_folder(uri: str) -> str | None:
    """Where the artifacts of a SQLite store go, beside it; None where a server decides."""
    return (sqlite_file(uri).parent / "mlflow-artifacts").resolve().as_uri() if uri.startswith(_SQLITE) else None


def settings() -> dict[str, str]:
    """Environment variables for MLflow, where the user has not set them."""
    return {key: value for key, value in _DEFAULTS.items() if key not in os.environ}


@contextmanager
def connected(environment: Environment) -> Iterator["MlflowClient"]:
    """A client, while MLflow's own functions use the same store. Raises `UserError` when MLflow cannot be used."""
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

    # Its migrations and checks are told step by step otherwise.
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
            f"MLflow of {environment.name} cannot be used ({shown}; the address is not shown, it may hold a password). "
            f"Is {VARIABLE} right, and the server up?"
        ) from None
    finally:
        # MLflow sets the variable, which would become every environment's address.
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def experiment_id(client: "MlflowClient", environment: Environment) -> str:
    """The experiment that runs go to, made when there is none."""
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
