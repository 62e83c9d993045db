"""The whole replay: stages that do not need each other run side by side, as processes of DVC."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from champion.core.errors import UserError
from champion.core.files import parse_yaml
from champion.core.stage import progress
from champion.repository.process import dvc
from champion.retraining.replay.layout import FOLDER

STARTED = re.compile(r"Running stage '(.+)'")
# In their order. The stages of one group do not need each other.
GROUPS = ("table", "candidate", "cards", "walk")
# One process of boosting has one thread, as there are as many processes as cores.
ALONE = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def replay(root: Path, jobs: int | None) -> int:
    """Run the stages whose inputs changed, and say how many: at most `jobs` at the same time, None for all cores.

    Raises `UserError` with the output of a stage that fails; the results of those that ended stay.
    """
    jobs, ran = jobs or os.cpu_count() or 1, 0
    for group in GROUPS:
        stages = _stale(root, group)
        if not stages:
            continue
        with progress(f"{group}: {len(stages)} to run") as advance:
            done = 0

            def count(name: str, stages: Sequence[str] = stages, advance: Callable[[float], None] = advance) -> None:
                nonlocal done
                advance(done / len(stages))
                done += 1
                print(f"  {name} ({done} of {len(stages)})", flush=True)

            # Neighbours are of similar size, so every process gets some of each.
            shares = [share for start in range(jobs) if (share := stages[start::jobs])]
            with ThreadPoolExecutor(len(shares)) as pool:
                list(pool.map(lambda share: _reproduce(root, share, count), shares))
        ran += len(stages)
    return ran


def _stale(root: Path, group: str) -> list[str]:
    """The stages of the group whose inputs or results are not those of the lock."""
    command = [dvc(), "status", "--json", *_targets(root, group)]
    result = subprocess.run(command, cwd=root / FOLDER, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(f"`dvc status` failed in {FOLDER}: {result.stderr.strip()}")
    return list(json.loads(result.stdout))


def _targets(root: Path, group: str) -> list[str]:
    text = (root / FOLDER / "params.yaml").read_text(encoding="utf-8")
    params = parse_yaml(text)
    match group:
        case "candidate":
            return [f"candidate@{day}" for day in params["quarters"]]
        case "walk":
            return [f"walk@{name}" for name in params["policies"]]
    return [group]


def _reproduce(root: Path, stages: Sequence[str], started: Callable[[str], None]) -> None:
    """Run these stages one after the other."""
    environment = os.environ | ALONE
    command = [dvc(), "repro", "--single-item", *stages]
    with subprocess.Popen(
        command, cwd=root / FOLDER, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        output = []
        for line in process.stdout or ():
            output.append(line)
            if found := STARTED.match(line):
                started(found[1])
    if process.returncode:
        raise UserError(f"a stage of the replay failed:\n{''.join(output[-20:])}")
