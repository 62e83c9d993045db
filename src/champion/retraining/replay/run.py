"""The whole replay: stages that do not need each other run side by side, as processes of DVC."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from champion.core.errors import UserError
from champion.core.files import parse_yaml
from champion.core.stage import progress
from champion.repository.process import dvc
from champion.retraining.replay.layout import FOLDER, PARAMS

STARTED = re.compile(r"Running stage '(.+)'")


def replay(root: Path, jobs: int | None) -> int:
    """Run the stages whose inputs changed, and say how many: at most `jobs` at the same time, None for all cores.

    Raises `UserError` with the output of a stage that fails; the results of those that ended stay.
    """
    params = parse_yaml((root / FOLDER / PARAMS).read_text(encoding="utf-8"))
    groups = {
        "table": ["table"],
        "candidates": [f"candidate@{day}" for day in params["quarters"]],
        "cards": ["cards"],
        "walks": [f"walk@{name}" for name in params["policies"]],
    }
    if not _stale(root, []):
        return 0
    ran = 0
    for group, members in groups.items():
        # Which of them is stale is known only when those before it ran.
        stages = _stale(root, members)
        if stages:
            _run_beside(root, group, stages, jobs or os.cpu_count() or 1)
        ran += len(stages)
    return ran


def _run_beside(root: Path, group: str, stages: Sequence[str], jobs: int) -> None:
    """Run these stages in so many processes. Neighbours are of similar size, so every process gets some of each."""
    shares = [share for start in range(jobs) if (share := stages[start::jobs])]
    with progress(f"{group}: {len(stages)} to run") as advance, ThreadPoolExecutor(len(shares)) as pool:
        begun: list[str] = []

        def begin(stage: str) -> None:
            advance(len(begun) / len(stages))
            begun.append(stage)
            print(f"  {stage} ({len(begun)} of {len(stages)})", flush=True)

        list(pool.map(lambda share: _reproduce(root, share, begin), shares))


def _stale(root: Path, stages: Sequence[str]) -> list[str]:
    """Those of the stages, or of all, whose inputs or results are not those of the lock."""
    command = [dvc(), "status", "--json", *stages]
    result = subprocess.run(command, cwd=root / FOLDER, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(f"`dvc status` failed in {FOLDER}: {result.stderr.strip()}")
    return list(json.loads(result.stdout))


def _reproduce(root: Path, stages: Sequence[str], begin: Callable[[str], None]) -> None:
    """Run these stages one after the other; `begin` is told of each."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Boosting has one thread in each process, as there are as many processes as cores.
    environment = os.environ | {"PATH": programs, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [dvc(), "repro", "--single-item", *stages]
    with subprocess.Popen(
        command, cwd=root / FOLDER, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        output = []
        for line in process.stdout or ():
            output.append(line)
            if found := STARTED.match(line):
                begin(found[1])
    if process.returncode:
        raise UserError(f"a stage of the replay failed:\n{''.join(output[-20:])}")
