"""Runs our DAG for real with `dag.test()`. Airflow's Python runs this file, with scenarios as JSON on standard input.

A scenario is environment variables. It prints JSON: the DAG as Airflow read it, and what became of each scenario.
"""

import json
import os
import sys
from datetime import timedelta

from airflow.dag_processing.dagbag import DagBag


def main() -> None:
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
    runs = [run(dag, scenario) for scenario in json.load(sys.stdin)]
    json.dump({"dag": described, "runs": runs}, sys.stderr)


def run(dag, scenario):
    os.environ.update(scenario)
    run = dag.test()
    tasks = {task.task_id: (task.state, task.try_number) for task in run.get_task_instances()}
    return {"state": run.state, "tasks": tasks}


if __name__ == "__main__":
    main()
