"""The runs and aliases of a project in MLflow."""

from typing import TYPE_CHECKING

from champion.environments import Environment, load_environment
from champion.tracking import registry_sync
from champion.tracking.client import connected, experiment_id
from support.delivery import DeliveryProject
from support.project import Project

if TYPE_CHECKING:
    from mlflow.entities import Run


def tracked_runs(environment: Environment) -> "list[Run]":
    """The environment's runs, oldest first."""
    with connected(environment) as client:
        return list(client.search_runs([experiment_id(client, environment)], order_by=["attributes.start_time ASC"]))


def development(project: Project) -> Environment:
    return load_environment("development", project.folder)


def aliases(delivery_project: DeliveryProject) -> dict[str, str]:
    """The version, by its name in the ledger, of each of MLflow's aliases."""
    with connected(delivery_project.staging.environment) as client:
        found = client.get_registered_model("champion").aliases
        return {
            name: client.get_model_version("champion", at).tags[registry_sync.VERSION] for name, at in found.items()
        }
