"""The daily retraining. Each task is one `champion` command, run by the project's environment and not by Airflow's.

CHAMPION_HOME is the repository, with its `.venv`. By default it is the folder that holds this folder.
"""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, chain

HOME = Path(os.environ.get("CHAMPION_HOME") or Path(__file__).resolve().parents[1])
CHAMPION = ".venv/bin/champion"
STEPS = ("extract", "prepare", "validate", "train", "evaluate", "compare", "deploy")
SKIP = 99


def notify(context: Any) -> None:
    """Tell the webhook of CHAMPION_WEBHOOK_URL, if it is set, which task failed after its last retry."""
    if os.environ.get("CHAMPION_WEBHOOK_URL"):
        task = context["task_instance"]
        text = f"Airflow: {task.task_id} of {task.dag_id} failed in {task.run_id}"
        subprocess.run([HOME / CHAMPION, "notify", text], cwd=HOME, check=True)


with DAG(
    "champion_retrain",
    description="Retrain the model when it is due, and deploy the new one if it wins.",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "on_failure_callback": notify,
        "cwd": str(HOME),
        "skip_on_exit_code": SKIP,
    },
    doc_md=__doc__,
):
    # `champion should-retrain` exits with 10 when a retraining is due, and with 0 when it is not.
    should_retrain = BashOperator(
        task_id="should_retrain",
        bash_command=f"{CHAMPION} should-retrain; case $? in 10) ;; 0) exit {SKIP} ;; *) exit 1 ;; esac",
    )
    steps = [BashOperator(task_id=step, bash_command=f"{CHAMPION} retrain {step}") for step in STEPS]
    chain(should_retrain, *steps)
