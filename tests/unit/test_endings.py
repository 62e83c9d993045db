"""Commands and stages that are interrupted, are not read, or run out of memory end in a line, not in a traceback."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from champion.__main__ import main
from champion.core.files import read_parquet
from champion.core.stage import stage_errors
from support.project import REPOSITORY, Project

PROGRAMS = Path(sys.executable).parent
# A shell's background job, such as a test run can be, hands on that it ignores Ctrl-C.
HEARING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"
STAGE = "champion.pipeline.validate"
INGEST = [sys.executable, "-m", "champion.pipeline.ingest"]


def start(command: Sequence[str], folder: Path, libraries: Sequence[str] = ()) -> "subprocess.Popen[str]":
    """The program with its output in a pipe, in a session of its own, as in another terminal."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-c", HEARING, *command],
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONPATH": os.pathsep.join((*libraries, "src"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def reading_stage(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A stage whose second process reads a library that takes a minute, so that it lasts on any machine."""
    (tmp_path / "pydantic.py").write_text("import time\nprint('reading', flush=True)\ntime.sleep(60)\n")
    with start([sys.executable, "-m", STAGE], REPOSITORY, libraries=[str(tmp_path)]) as stage:
        assert stage.stdout is not None
        assert stage.stdout.readline() == "reading\n"
        yield stage


def find_child(pid: int) -> int:
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def test_a_stage_that_is_interrupted_while_it_reads_libraries_prints_one_line(
    reading_stage: "subprocess.Popen[str]",
) -> None:
    os.killpg(reading_stage.pid, signal.SIGINT)
    _, errors = reading_stage.communicate(timeout=60)
    assert (reading_stage.returncode, errors) == (130, "interrupted\n")


def test_a_stage_that_is_interrupted_under_dvc_prints_no_traceback(project: Project) -> None:
    with start(["dvc", "repro", "ingest"], project.folder) as dvc:
        assert dvc.stdout is not None
        next(line for line in iter(dvc.stdout.readline, "") if line.startswith("reading"))
        os.killpg(dvc.pid, signal.SIGINT)
        output, errors = dvc.communicate(timeout=120)
    assert dvc.returncode != 0
    assert "interrupted\n" in errors
    assert "Traceback" not in output + errors


def test_a_command_that_is_interrupted_prints_one_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("champion.params.check", interrupt)
    done = project.champion("check", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_command_that_is_interrupted_while_it_starts_prints_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> None:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "champion.cli.main", Interrupted("champion.cli.main"))
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stage_leaves_no_process_behind(number: signal.Signals, reading_stage: "subprocess.Popen[str]") -> None:
    child = find_child(reading_stage.pid)
    reading_stage.send_signal(number)
    _, errors = reading_stage.communicate(timeout=60)
    until = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(f"/proc/{child}").exists()
    assert errors == ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_stage_that_the_system_ends_for_want_of_memory_says_so(
    number: signal.Signals, reading_stage: "subprocess.Popen[str]"
) -> None:
    os.kill(find_child(reading_stage.pid), number)
    _, errors = reading_stage.communicate(timeout=60)
    assert reading_stage.returncode == 128 + number
    assert errors == (
        f"error: the stage validate was ended by {number.name}, as happens when memory is full. Give it more, or fewer "
        "rows, then run it again.\n"
    )


def test_a_full_memory_names_the_stage_and_what_was_wanted() -> None:
    with pytest.raises(SystemExit) as stop, stage_errors("train"):
        raise MemoryError("Unable to allocate 7.45 GiB for an array")
    wanted = "(Unable to allocate 7.45 GiB for an array)"
    assert str(stop.value.code).startswith(f"error: the stage train: not enough memory {wanted}. Give it more")


def test_a_table_that_does_not_fit_in_memory_is_not_called_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> None:
        raise OSError("Cannot allocate memory (os error 12)")

    monkeypatch.setattr("polars.read_parquet", refuse)
    with pytest.raises(MemoryError):
        read_parquet(tmp_path / "rows.parquet")


@pytest.mark.parametrize("command", [["-m", "champion", "check"], ["-m", "champion", "history"], INGEST[1:]])
def test_an_output_that_nobody_reads_ends_a_program_silently(command: list[str], project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": "src"},
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["champion check", "champion.pipeline.validate"])
def test_a_closed_stream_stops_no_program(command: str, closed: str, project: Project) -> None:
    done = subprocess.run(
        ["bash", "-c", f"exec {sys.executable} -m {command} {closed}"],
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": "src"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    missing = command != "champion check"
    assert done.returncode == missing, done.stderr
    assert re.fullmatch("error: .*no such file.*\n" if missing and "2" not in closed else "", done.stderr)
