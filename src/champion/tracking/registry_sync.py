"""A copy of the ledger's versions and aliases in MLflow's model registry. The ledger is the truth."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from champion.core.errors import UserError
from champion.registry import history, standing
from champion.registry.chain import ACCEPT, Row
from champion.registry.registry import Registry
from champion.registry.versions import EXAMPLES_FILE, MODEL_FILE, Version
from champion.tracking import background_sync
from champion.tracking.client import connected, experiment_id, in_use, shared_name
from champion.tracking.runs import MODEL_SHA256, MODEL_URI, runs_tagged
from champion.tracking.values import finite_metrics, params_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

VERSION = "champion.version"
# This tag of the registered model has number and hash of the last ledger row, so that it shows when rows are lost.
HEAD = "champion.ledger_head"
# The last row that accepted a break, at the time of that tag.
ACCEPTED = "champion.ledger_accepted"


def apply(registry: Registry) -> list[str]:
    """Update MLflow from the ledger. Returns one sentence per change."""
    ledger = registry.ledger
    done: list[str] = []
    with connected(registry.environment) as client:
        rows = ledger.rows()
        while True:
            done += _add_versions(client, registry, rows) + _move_aliases(client, registry, rows)
            _move_head(client, rows)
            # Other commands may append rows during the sync, so repeat until there are no new rows.
            latest = ledger.rows()
            if len(latest) == len(rows):
                return done
            rows = latest


def differences(registry: Registry, rows: list[Row]) -> list[str]:
    """One sentence per version or alias that differs between MLflow and the ledger; none if MLflow is not in use."""
    if not in_use(registry.environment):
        return []
    for other in registry.sharing.values():
        background_sync.wait(other)
    repair = "`champion mirror` repairs it."
    try:
        with connected(registry.environment) as client:
            numbers, present = _numbers_by_version(client), _present_aliases(client)
            wrong = wrong_head(_tags(client), rows)
    except UserError as error:
        return [f"the ledger cannot be compared with MLflow: {error}"]
    found = [
        f"MLflow's registry lacks {version.name}, sha256 {version.model_sha256}: {repair}"
        for version in history.versions(rows).values()
        if (version.name, version.model_sha256) not in numbers
    ]
    found += [wrong] if wrong is not None else []
    names = {number: version for (version, _), number in numbers.items()}
    wanted = standing.aliases(rows, registry.sharing)
    for alias in sorted(_our_aliases(registry) & present.keys() | wanted.keys()):
        number = present.get(alias)
        has = (
            "nothing" if number is None else names.get(number, f"its version {number}, which the ledger does not know")
        )
        says = wanted.get(alias, "nothing")
        if has != says:
            found.append(f"MLflow's alias {alias} is on {has}, but the ledger says {says}: {repair}")
    return found


def breaks(registry: Registry, rows: Sequence[Row]) -> list[str]:
    """`wrong_head` of the environment's MLflow, as a list; empty if MLflow is not in use or cannot be reached."""
    if not in_use(registry.environment):
        return []
    try:
        with connected(registry.environment) as client:
            found = wrong_head(_tags(client), rows)
    except UserError:
        return []
    return [] if found is None else [found]


def wrong_head(tags: Mapping[str, str], rows: Sequence[Row]) -> str | None:
    """A sentence if the ledger lacks the row that MLflow's tag names, else None."""
    told = tags.get(HEAD)
    if told is None or any(f"{row.sequence} {row.hash}" == told for row in rows):
        return None
    sequence, _, digest = told.partition(" ")
    return (
        f"MLflow knows of ledger row {sequence[:20]} ({digest[:12]}), which the ledger has not got: rows were removed"
    )


def _move_head(client: "MlflowClient", rows: list[Row]) -> None:
    """Write the last row to MLflow's tag, unless the tagged row is lost and nobody has accepted a break since."""
    tags = _tags(client)
    lost = wrong_head(tags, rows) is not None and tags.get(ACCEPTED) == _last_accepted(rows)
    if rows and not lost and client.search_registered_models(f"name = '{shared_name()}'"):
        client.set_registered_model_tag(shared_name(), HEAD, f"{rows[-1].sequence} {rows[-1].hash}")
        client.set_registered_model_tag(shared_name(), ACCEPTED, _last_accepted(rows))


def _last_accepted(rows: Sequence[Row]) -> str:
    return next((row.hash for row in reversed(rows) if row.action == ACCEPT), "none")


def _tags(client: "MlflowClient") -> Mapping[str, str]:
    models = client.search_registered_models(f"name = '{shared_name()}'")
    tags: Mapping[str, str] = models[0].tags if models else {}
    return tags


def _add_versions(client: "MlflowClient", registry: Registry, rows: list[Row]) -> list[str]:
    """Add the versions that MLflow lacks."""
    registered = history.versions(rows)
    if registered and not client.search_registered_models(f"name = '{shared_name()}'"):
        _create_registered_model(client)
    known = _numbers_by_version(client)
    lacking = [version for version in registered.values() if (version.name, version.model_sha256) not in known]
    for version in lacking:
        run_id, source = _find_or_log_model(client, registry, version)
        tags = {VERSION: version.name, MODEL_SHA256: version.model_sha256}
        # A server accepts a logged model's address only together with its id.
        client.create_model_version(shared_name(), source, run_id, tags, model_id=source.removeprefix("models:/"))
    return [f"{version.name} registered" for version in lacking]


def _create_registered_model(client: "MlflowClient") -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(shared_name())
    except MlflowException as error:
        # Another process was faster.
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _move_aliases(client: "MlflowClient", registry: Registry, rows: list[Row]) -> list[str]:
    """Set every alias that differs from the ledger, and remove aliases that the ledger does not have."""
    versions, numbers, present = history.versions(rows), _numbers_by_version(client), _present_aliases(client)
    done = []
    for alias, version in standing.aliases(rows, registry.sharing).items():
        number = numbers[version, versions[version].model_sha256]
        if present.pop(alias, None) != number:
            client.set_registered_model_alias(shared_name(), alias, number)
            done.append(f"{alias} is {version}")
    for alias in _our_aliases(registry) & present.keys():
        client.delete_registered_model_alias(shared_name(), alias)
        done.append(f"{alias} is nothing")
    return done


def _our_aliases(registry: Registry) -> set[str]:
    """The aliases that come from the ledger; all others belong to users."""
    return {"champion", "challenger", *registry.sharing}


def _numbers_by_version(client: "MlflowClient") -> dict[tuple[str, str], str]:
    """MLflow's number for each version, by name and model hash; if there are several, the first."""
    found = client.search_model_versions(f"name = '{shared_name()}'", order_by=["version_number ASC"])
    numbers: dict[tuple[str, str], str] = {}
    for one in found:
        if VERSION in one.tags and MODEL_SHA256 in one.tags:
            numbers.setdefault((one.tags[VERSION], one.tags[MODEL_SHA256]), str(one.version))
    return numbers


def _present_aliases(client: "MlflowClient") -> dict[str, str]:
    models = client.search_registered_models(f"name = '{shared_name()}'")
    aliases: Mapping[str, str] = models[0].aliases if models else {}
    return {alias: str(number) for alias, number in aliases.items()}


def _find_or_log_model(client: "MlflowClient", registry: Registry, version: Version) -> tuple[str, str]:
    """Run and URI of the version's model in MLflow. If it was not tracked, log it now from the registry's files."""
    experiment = experiment_id(client, registry.environment)
    for run in runs_tagged(client, experiment, MODEL_SHA256, version.model_sha256):
        if run.info.status == "FINISHED":
            return str(run.info.run_id), str(run.data.tags[MODEL_URI])
    import mlflow
    import polars as pl

    from champion.model.model_file import load
    from champion.tracking import pyfunc

    rows = pl.DataFrame(json.loads(registry.read_file(version, EXAMPLES_FILE))["rows"], strict=False)
    with tempfile.TemporaryDirectory(prefix="champion-") as folder:
        file = Path(folder) / MODEL_FILE
        file.write_bytes(registry.read_file(version, MODEL_FILE))
        model = load(file, version.model_sha256)
        tags = {MODEL_SHA256: version.model_sha256, VERSION: version.name, "git.commit": str(version.git_commit)}
        with mlflow.start_run(experiment_id=experiment, run_name=version.name, tags=tags) as run:
            mlflow.log_metrics(finite_metrics(version.metrics, training=version.training))
            mlflow.log_params(params_of(version.params))
            uri = pyfunc.log(model, file, version.model_sha256, rows)
            mlflow.set_tag(MODEL_URI, uri)
    return str(run.info.run_id), uri
