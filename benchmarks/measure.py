"""Measurements of whole processes by the operating system."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Usage:
    """Seconds of wall time and of CPU, and megabytes of peak memory, of one process and its children."""

    wall: float
    cpu: float
    peak: float


def run(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end, ignore its output, and raise an error if it fails."""
    programs = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": programs, "PYTHONPATH": str(folder / "src")} | dict(environment or {})
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed in {folder}")
    return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def in_turn(ours: Callable[[], Usage], floor: Callable[[], Usage], rounds: int) -> list[tuple[Usage, Usage]]:
    """Measure both in turns, after one round that does not count, so that a busy machine slows both equally."""
    ours(), floor()
    return [(ours(), floor()) for _ in range(rounds)]


def median(values: list[float]) -> float:
    return statistics.median(values)


def use_own_staging(folder: str | Path) -> None:
    """Let staging have its ledger and stores in the folder, and let neither a webhook nor MLflow hear of it."""
    os.environ |= {
        "ENVIRONMENT": "staging",
        "CHAMPION_DATABASE_URL": f"sqlite:///{folder}/ledger.db",
        "CHAMPION_STORE_URL": f"{folder}/stores",
        "CHAMPION_USERS_KEY": "benchmark",
    }
    for name in ("CHAMPION_WEBHOOK_URL", "MLFLOW_TRACKING_URI"):
        os.environ.pop(name, None)
