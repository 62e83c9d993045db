"""The demonstration, from the pipeline to a page with what came true."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import psutil
import pytest
import requests
from filelock import FileLock

from champion.delivery import demo
from champion.delivery.demo import FOLDER, LOCK
from champion.delivery.webhook import VARIABLE
from champion.predictions.log import PredictionLog
from champion.table.columns import TARGET
from champion.table.window import Calendar
from support.delivery import InState
from support.edited import deploy_result
from support.project import Project
from support.serving import ROW, await_true, serving
from support.webhook import Webhook

PAGE = re.compile(r"The page is (\S+) \(name: (\S+), password: (\S+)\)")


@pytest.mark.sweep
@pytest.mark.real
def test_a_demonstration_serves_a_model_whose_page_shows_what_came_true(real_run: Project, tmp_path: Path) -> None:
    project = real_run.copy_to(tmp_path / "project")
    command: list[str | Path] = [Path(sys.executable).with_name("champion"), "demo", "--port", "0"]
    program = subprocess.Popen(
        command,
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": str(project.folder / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert program.stdout is not None
    children: list[psutil.Process] = []
    try:
        said = []
        for line in program.stdout:
            said.append(line)
            if PAGE.search(line):
                break
        page = PAGE.search(said[-1])
        assert page is not None, "".join(said)
        assert "Data and pipelines are up to date.\n" in said
        children = psutil.Process(program.pid).children(recursive=True)

        def is_counted() -> bool:
            # Another worker may show an older state.
            pages.append(requests.get(page[1], auth=(page[2], page[3]), timeout=10).text)
            return "Calibration shows" in pages[-1]

        pages: list[str] = []
        await_true(is_counted, 30)
        text = pages[-1]
        assert "production serves v1" in text
        assert "came true, 2011-01-01 to 2011-12-31" in text
        assert "9,400 rows" in text
        assert "All events up to 2013-12-31 are known." in text
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 0
        assert children
        assert psutil.wait_procs(children, timeout=30)[1] == []
    finally:
        program.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        program.stdout.close()
    assert project.run("git", "status", "--short").stdout == ""


def test_a_demonstration_ends_at_the_first_step_that_fails(in_state: InState) -> None:
    root = in_state("new").root
    result = Project(root).champion("demo", check=False)
    assert result.returncode == 1
    assert result.stderr.endswith("error: `dvc repro` failed, so the demonstration ends here.\n")
    assert "champion register" not in result.stdout


def test_a_demonstration_leaves_the_folder_of_another_one_alone(in_state: InState) -> None:
    root = in_state("new").root
    kept = root / FOLDER / "ledger.db"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with FileLock(root / LOCK):
        result = Project(root).champion("demo", check=False)
    assert result.stderr == ("error: another demonstration uses var/demo. End it with Ctrl-C, or look at its page.\n")
    assert result.stdout == ""
    assert kept.exists()


def test_a_demonstration_tells_no_webhook(in_state: InState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "STEPS", ("champion notify hello",))
    with Webhook() as webhook:
        monkeypatch.setenv(VARIABLE, webhook.url)
        result = Project(in_state("new").root).champion("demo", check=False, warm_stages=True)
        assert result.stderr.endswith("error: `champion notify hello` failed, so the demonstration ends here.\n")
        assert webhook.texts == []


def test_a_demonstration_is_faster_than_the_server_that_makes_the_log(in_state: InState) -> None:
    demo._date_back(in_state("new").staging, {"0" * 32: date(2020, 1, 1)}, 0)


def test_a_demonstration_sends_whole_rows_and_dates_the_answers_back(
    in_state: InState, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = in_state("new")
    # Nobody reads this column but the rule.
    deploy_result(project, "weak", exclusions={"abroad": {"distance": {"above": 1000}}})
    days = [date(2020, 5, 31), date(2020, 5, 30), date(2020, 5, 31)]
    rows = pl.DataFrame([ROW] * 3).with_columns(answered=pl.Series(days), **{TARGET: pl.Series([1, 0, 0])})
    features = [SimpleNamespace(name=name) for name in ROW]
    data = SimpleNamespace(rows=rows, features=features, schema=SimpleNamespace(date="answered"))
    calendar = Calendar(date(2020, 1, 1), 3, 12, 6)
    monkeypatch.setattr(demo, "next_rows", lambda *_: (data, calendar))
    monkeypatch.setattr(demo, "_run", lambda *_: None)
    traffic = demo._read_traffic(project.staging, project.root)
    assert traffic is not None
    with serving(project, "staging") as server:
        demo._send(project.staging, server.url, server.authorization.removeprefix("Bearer "), *traffic)
    log = PredictionLog(os.environ["CHAMPION_PREDICTIONS_URL"], "staging")
    found = pl.concat(log.read(None, None))
    assert found["time"].dt.date().to_list() == sorted(days)
    assert found["event"].to_list() == [None, date(2020, 8, 30), None]
    assert [json.loads(one) for one in found["features"]] == [ROW | {"distance": None}] * 3
    assert log.complete_through() == date(2020, 9, 30)
    log.close()
