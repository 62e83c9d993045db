"""Which tracked run is best by a metric, and how to apply it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from champion.core.errors import UserError
from champion.environments import Environment
from champion.model.recipe import section_of
from champion.report.comparison import direction
from champion.repository.git import has_reference
from champion.tracking.client import SHA256_PARAM, connected, experiment_id, in_use, shared_name, shown_uri
from champion.tracking.runs import EXPERIMENT, HELD_OUT, RESULT
from champion.tracking.values import mlflow_name

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class Entry:
    """One run with its metric, the params in which the listed runs differ, and the params of its model."""

    name: str
    value: float
    differing: dict[str, str]
    model: dict[str, str]
    run: "Run"


@dataclass(frozen=True)
class Board:
    """The best runs, best first. `others` says whether runs with other test rows were left out.

    `differing` has the params in which the runs differ.
    """

    metric: str
    entries: Sequence[Entry]
    differing: Sequence[str]
    others: bool


def best(environment: Environment, metric: str, top: int) -> Board:
    """The best runs by the metric, among the runs with the same test rows as the newest run.

    Raises `UserError` when nothing was tracked, or the better direction of the metric is unknown.
    """
    sign = direction(metric.removeprefix("training."))
    if sign is None:
        raise UserError(f"the better direction of {metric!r} is unknown. Choose another metric, such as roc_auc.")
    empty = UserError(
        f"nothing was tracked yet in {shown_uri(environment)}, experiment {shared_name()!r}. Run `champion track` or "
        "`champion experiments run -S key=value`."
    )
    if not in_use(environment):
        raise empty
    with connected(environment) as client:
        experiment = experiment_id(client, environment)
        whole = f"attributes.status = 'FINISHED' AND tags.`{RESULT}` != ''"
        newest = client.search_runs([experiment], whole, order_by=["attributes.start_time DESC"], max_results=1)
        if not newest:
            raise empty
        rows = newest[0].data.tags[HELD_OUT]
        order = f"metrics.`{mlflow_name(metric)}` {'DESC' if sign > 0 else 'ASC'}"
        same = f"{whole} AND tags.`{HELD_OUT}` = '{rows}'"
        found = client.search_runs([experiment], same, order_by=[order], max_results=top)
        others = client.search_runs([experiment], f"{whole} AND tags.`{HELD_OUT}` != '{rows}'", max_results=1)
    runs = [run for run in found if mlflow_name(metric) in run.data.metrics]
    if not runs:
        known = ", ".join(sorted(newest[0].data.metrics))
        raise UserError(f"no run has the metric {metric!r}. Choose one of {known}.")
    differing = _differing(runs)
    return Board(metric, [_entry(run, metric, differing) for run in runs], differing, bool(others))


def adoption(root: Path, run: "Run") -> str:
    """How to apply a run's result to the working tree, in one sentence."""
    name, commit = run.data.tags.get(EXPERIMENT), run.data.tags.get("git.commit")
    if name and has_reference(root, f"refs/exps/*/*/{name}"):
        return f"`dvc exp apply {name}`"
    if name:
        return f"`dvc exp pull REMOTE {name}` from the repository that ran it, then `dvc exp apply {name}`"
    if commit and run.data.tags.get("git.clean") == "true":
        return f"`git checkout {commit[:12]}`, then `dvc checkout`"
    return "replace your params.yaml with the one in the run's artifacts, then `dvc repro`"


def _entry(run: "Run", metric: str, differing: Sequence[str]) -> Entry:
    params = run.data.params
    estimator = f"train.{section_of(str(params.get('train.estimator')))}"
    return Entry(
        name=str(run.info.run_name),
        value=float(run.data.metrics[mlflow_name(metric)]),
        differing={name: params[name] for name in differing if name in params},
        model={name: value for name, value in sorted(params.items()) if name.startswith(f"{estimator}.")},
        run=run,
    )


def _differing(runs: Sequence["Run"]) -> list[str]:
    """The params in which these runs differ."""
    names = sorted({name for run in runs for name in run.data.params} - {SHA256_PARAM})
    return [name for name in names if len({run.data.params.get(name) for run in runs}) > 1]
