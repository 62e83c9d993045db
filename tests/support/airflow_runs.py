"""Runs our DAG for real with `dag.test()`. Airflow's Python runs this file, with scenarios as JSON on standard input.

A scenario is environment variables. The last line of its errors is JSON: for each scenario, the DAG as Airflow read it
and what became of its run.
"""

import json
import os
import sys
from datetime import timedelta
from typing import Any

from airflow.dag_processing.dagbag import DagBag


def run(scenario: dict[str, str]) -> dict[str, Any]:
    os.environ.update(scenario)
    bag = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    dag = bag.dags["champion_retrain"]
    tasks = dag.topological_sort()
    described = {
        "import_errors": bag.import_errors,
        "dags": list(bag.dags),
        "schedule": dag.schedule,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "retries": [(task.retries, task.retry_delay.total_seconds()) for task in tasks],
        "commands": {task.task_id: task.bash_command for task in tasks},
        "downstream": {task.task_id: sorted(task.downstream_task_ids) for task in tasks},
    }
    for task in tasks:
        task.retry_delay = timedelta(0)
    ran = dag.test()
    states = {task.task_id: (task.state, task.try_number) for task in ran.get_task_instances()}
    return {"dag": described, "state": ran.state, "tasks": states}


if __name__ == "__main__":
    json.dump([run(scenario) for scenario in json.load(sys.stdin)], sys.stderr)
