"""A sweep leaves the user's files alone, and the leaderboard ranks what it tracked."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.environments import Environment
from champion.experiments.leaderboard import best
from champion.tracking import runs as tracking
from champion.tracking.client import connected, experiment_id
from champion.tracking.result import read_result
from champion.tracking.runs import track
from support.delivery import DeliveryProject
from support.project import Project
from support.tracking import development, tracked_runs

# MLflow uses what SQLAlchemy and pandas are about to remove.
pytestmark = pytest.mark.filterwarnings("ignore")

MODEL = "models/model.skops"


def state(project: Project) -> dict[str, bytes | str]:
    """Every file of the user, and git's status of them."""
    listed = project.run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
    files = [*listed, MODEL, "data/raw.parquet", "data/prepared/test.parquet"]
    git = {command: project.run("git", *command.split()).stdout for command in ("status --porcelain", "stash list")}
    # One of them is a link to a folder.
    return {name: path.read_bytes() for name in files if (path := project.folder / name).is_file()} | git


def interrupt_after_first_line(project: Project, *command: str) -> tuple[int, str, str]:
    """Exit status and output of a command that gets Ctrl-C after its first set."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": programs, "PYTHONPATH": str(project.folder / "src"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=project.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        return process.wait(), first + process.stdout.read(), process.stderr.read()


def test_a_sweep_leaves_the_files_alone_resumes_and_is_ranked(tracked: Project, tmp_path: Path) -> None:
    project = tracked.copy_to(tmp_path / "project")
    with (project.folder / "README.md").open("a") as readme:
        readme.write("A change that nobody committed.\n")
    (project.folder / "elsewhere").symlink_to(tmp_path)
    before = state(project)
    # The second set fails only in training, because only scikit-learn knows that the parameter does not exist.
    sweep = ("champion", "experiments", "run", "-S", "train.max_leaf_nodes=4", "-S", "train.max_dept=3")

    status, told, error = interrupt_after_first_line(project, *sweep)
    assert (status, error) == (130, "interrupted after 1 of 2 sets. Run the same command again to continue.\n")
    assert state(project) == before

    again = project.champion(*sweep[1:], check=False, warm_stages=True)
    assert again.returncode == 1
    first, second = again.stdout.splitlines()
    assert first == f"{told.strip()} (run before)"
    assert "has no such parameter (did you mean `max_depth`?)" in second
    assert again.stderr == "error: 1 of 2 sets failed. Run the same command again to retry them.\n"
    assert state(project) == before
    assert len(tracked_runs(development(project))) == 2

    name = first.split()[1]
    compare = ("experiments", "compare", "--metric", "log_loss")
    ranking = project.champion(*compare).stdout
    assert "max_leaf_nodes=4" in ranking
    assert "train.hist_gradient_boosting.max_iter: 5" in ranking
    assert "to apply it: `" in ranking
    as_json = json.loads(project.champion(*compare, "--json").stdout)
    assert [one["name"] for one in as_json["runs"]] == [line.split()[1] for line in ranking.splitlines()[1:3]]
    assert as_json["take_over"] in ranking

    project.run("git", "checkout", "--", "README.md")
    project.run("dvc", "exp", "apply", name)
    assert "max_leaf_nodes: 4" in (project.folder / "params.yaml").read_text()
    taken = track(development(project), read_result(project.folder))
    assert (taken.name, taken.new) == (name, False)


def fake_run(environment: Environment, name: str, values: dict[str, float], held_out: str = "rows") -> None:
    import mlflow

    with connected(environment) as client:
        tags = {tracking.RESULT: name, tracking.HELD_OUT: held_out}
        with mlflow.start_run(experiment_id=experiment_id(client, environment), run_name=name, tags=tags):
            mlflow.log_metrics(values)
            mlflow.log_param("train.seed", name)


def test_the_best_run_is_best_in_its_metrics_own_direction(
    tmp_path: Path, delivery_project: DeliveryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    where = f"nothing was tracked yet in sqlite:///{tmp_path}/mlflow.db, experiment 'champion'. Run `champion track`"
    with pytest.raises(UserError, match=re.escape(where)):
        best(delivery_project.staging.environment, "roc_auc", 5)
    assert not (tmp_path / "mlflow.db").exists()
    fake_run(delivery_project.staging.environment, "other data", {"roc_auc": 0.99, "brier": 0.01}, held_out="others")
    fake_run(delivery_project.staging.environment, "a", {"roc_auc": 0.7, "brier": 0.2, "training.brier": 0.1})
    fake_run(delivery_project.staging.environment, "b", {"roc_auc": 0.8, "brier": 0.3, "training.brier": 0.2})
    fake_run(delivery_project.staging.environment, "c", {"roc_auc": 0.6, "brier": 0.1})

    def ranked(metric: str, top: int = 5) -> list[str]:
        return [entry.name for entry in best(delivery_project.staging.environment, metric, top).entries]

    assert ranked("roc_auc") == ["b", "a", "c"]
    assert ranked("brier") == ["c", "a", "b"]
    assert ranked("training.brier") == ["a", "b"]
    assert ranked("brier", top=2) == ["c", "a"]
    assert best(delivery_project.staging.environment, "roc_auc", 1).others
    with pytest.raises(UserError, match="no run has the metric 'f1_weighted'"):
        ranked("f1_weighted")
    with pytest.raises(UserError, match="the better direction of 'mean_probability' is unknown"):
        ranked("mean_probability")
