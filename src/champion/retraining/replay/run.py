"""The whole replay: stages that do not need each other run side by side, as processes of DVC."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from champion.core.errors import UserError
from champion.core.stage import progress
from champion.repository.process import dvc
from champion.retraining.replay.layout import FOLDER

STARTED = re.compile(r"Running stage '(.+)'")
# DVC looks up each stage that it is told in its lock file first, half a second each, and keeps other processes out.
PIECE = 3
# In their order. The stages of one group do not need each other.
GROUPS = ("table", "candidate", "cards", "walk")


def replay(root: Path, jobs: int | None) -> int:
    """Run the stages whose inputs changed, and say how many: at most `jobs` at the same time, None for all cores.

    Raises `UserError` with the output of a stage that fails; the results of those that ended stay.
    """
    ran = 0
    stale = _stale(root)
    for group in GROUPS:
        stages = [name for name in stale if name.partition("@")[0] == group]
        if stages:
            _run_beside(root, group, stages, jobs or os.cpu_count() or 1)
            ran += len(stages)
            # Which of the next ones are stale is known only now.
            stale = _stale(root)
    return ran


def _run_beside(root: Path, group: str, stages: Sequence[str], jobs: int) -> None:
    """Run these stages in so many processes at the same time."""
    pieces = [stages[start : start + PIECE] for start in range(0, len(stages), PIECE)]
    with progress(f"{group}: {len(stages)} to run") as advance, ThreadPoolExecutor(jobs) as pool:
        begun: list[str] = []

        def begin(stage: str) -> None:
            advance(len(begun) / len(stages))
            begun.append(stage)
            print(f"  {stage} ({len(begun)} of {len(stages)})", flush=True)

        running = [pool.submit(_reproduce, root, piece, begin) for piece in pieces]
        try:
            for one in as_completed(running):
                one.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _stale(root: Path) -> list[str]:
    """The stages whose inputs or results are not those of the lock."""
    command = [dvc(), "status", "--json"]
    result = subprocess.run(command, cwd=root / FOLDER, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(f"`dvc status` failed in {FOLDER}: {result.stderr.strip()}")
    return list(json.loads(result.stdout))


def _reproduce(root: Path, stages: Sequence[str], begin: Callable[[str], None]) -> None:
    """Run these stages one after the other; `begin` is told of each.

    Each process of DVC locks the repository before and after a stage, and waits for the others.
    """
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Boosting has one thread in each process, as there are as many processes as cores.
    environment = os.environ | {"PATH": programs, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [dvc(), "--wait-for-lock", "repro", "--single-item", *stages]
    output = []
    with subprocess.Popen(
        command, cwd=root / FOLDER, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for line in process.stdout or ():
            output.append(line)
            if found := STARTED.match(line):
                begin(found[1])
    if process.returncode:
        raise UserError(f"a stage of the replay failed:\n{''.join(output[-20:])}")
