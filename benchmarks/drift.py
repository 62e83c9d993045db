"""Drift of 1 million rows with 20 features, compared with reading the same Parquet and histograms by numpy alone.

    python benchmarks/drift.py

Each side runs in a process of its own and measures itself without its start and imports. Both read the same columns of
the same file; numpy gets them whole, and we get them in parts of 50,000 rows.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from champion.delivery.recent_rows import ROWS as PART
from champion.model.distribution import ColumnReference
from champion.monitoring.drift import measure_drift
from champion.params import Monitoring
from measure import median

ROWS, FEATURES, ROUNDS = 1_000_000, 20, 7


def numbers(rows: int, seed: int) -> pl.DataFrame:
    """Twenty numbers, a twentieth of which is missing."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(FEATURES, rows))
    values[random.random(values.shape) < 0.05] = np.nan
    return pl.DataFrame({f"f{place}": values[place] for place in range(FEATURES)}).fill_nan(None)


def mixed(rows: int, seed: int) -> pl.DataFrame:
    """The same, but five are texts of fifty values."""
    random = np.random.default_rng(seed + 1)
    towns = np.array([f"town {number}" for number in range(50)])
    texts = {f"f{place}": pl.Series(towns[random.integers(0, 50, rows)]) for place in range(5)}
    return numbers(rows, seed).with_columns(**texts)


def make(folder: Path, name: str) -> None:
    """Write a table and the reference of other rows like it."""
    table = {"numbers": numbers, "mixed": mixed}[name]
    reference = table(50_000, 0)
    features = {
        column: {"type": "number" if reference[column].dtype.is_numeric() else "category"}
        | ColumnReference.of(reference[column]).describe()
        for column in reference.columns
    }
    told = {"rows": reference.height, "features": features, "score": None}
    (folder / f"{name}.json").write_text(json.dumps(told))
    table(ROWS, 2).write_parquet(folder / f"{name}.parquet")


def ours(path: Path, reference: dict[str, Any]) -> float:
    began = time.perf_counter()
    batches = pq.ParquetFile(path, pre_buffer=False).iter_batches(PART)
    parts = (pl.from_arrow(batch) for batch in batches)
    drift = measure_drift(reference, list(reference["features"]), parts, Monitoring())
    assert drift.rows == ROWS  # noqa: S101
    return time.perf_counter() - began


def floor(path: Path, reference: dict[str, Any]) -> float:
    began = time.perf_counter()
    table = pq.read_table(path)
    for name, one in reference["features"].items():
        values = table[name].to_numpy()
        if "edges" in one:
            np.histogram(values, [-np.inf, *one["edges"], np.inf])
        else:
            np.unique(values, return_counts=True)
    return time.perf_counter() - began


def in_process(side: str, folder: str, name: str) -> dict[str, float]:
    """What a process of its own measured. A process begins with the peak of its parent, so this one makes no table."""
    command = [sys.executable, __file__, side, folder, name]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(side: str, folder: Path, name: str) -> None:
    seconds = 0.0
    if side == "make":
        make(folder, name)
    else:
        reference = json.loads((folder / f"{name}.json").read_text())
        seconds = {"ours": ours, "floor": floor}[side](folder / f"{name}.parquet", reference)
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def main() -> None:
    if len(sys.argv) > 1:
        measure(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
        return
    with TemporaryDirectory() as folder:
        for name in ("numbers", "mixed"):
            in_process("make", folder, name)
            rounds = [[in_process(side, folder, name) for side in ("ours", "floor")] for _ in range(ROUNDS)]
            ratio = median([one["seconds"] / other["seconds"] for one, other in rounds])
            seconds, peaks = ([median([one[side][key] for one in rounds]) for side in (0, 1)] for key in rounds[0][0])
            print(
                f"drift, {ROWS:,} rows x {FEATURES} features ({name}): {seconds[0]:.2f} s, {ratio:.2f} times numpy "
                f"({seconds[1]:.2f} s); peak memory {peaks[0]:.0f} MB against {peaks[1]:.0f} (median of {ROUNDS} "
                "pairs)",
                flush=True,
            )


if __name__ == "__main__":
    main()
