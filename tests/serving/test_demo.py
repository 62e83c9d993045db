"""The demonstration, from the pipeline to a page with what came true."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests
from filelock import FileLock

from champion.delivery.demo import FOLDER, LOCK
from support.delivery import InState
from support.project import Project
from support.serving import await_true

PAGE = re.compile(r"The page is (\S+) \(name: (\S+), password: (\S+)\)")


@pytest.mark.real
def test_a_demonstration_serves_a_model_whose_page_shows_what_came_true(real_run: Project, tmp_path: Path) -> None:
    project = real_run.copy_to(tmp_path / "project")
    command: list[str | Path] = [Path(sys.executable).with_name("champion"), "demo", "--port", "0"]
    demo = subprocess.Popen(
        command,
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": str(project.folder / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    children: list[psutil.Process] = []
    try:
        said = []
        for line in demo.stdout:
            said.append(line)
            if PAGE.search(line):
                break
        page = PAGE.search(said[-1])
        assert page is not None, "".join(said)
        assert "Data and pipelines are up to date.\n" in said
        children = psutil.Process(demo.pid).children(recursive=True)

        def read() -> str:
            return requests.get(page[1], auth=(page[2], page[3]), timeout=10).text

        await_true(lambda: "Answered probability" in read(), 30)
        text = read()
        assert "production serves v1" in text
        assert "came true, 2011-01-01 to 2011-12-31" in text
        assert "9,400 rows" in text
        assert "All events up to 2013-12-31 are known." in text
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
        assert children
        assert psutil.wait_procs(children, timeout=30)[1] == []
    finally:
        demo.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        demo.stdout.close()
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
