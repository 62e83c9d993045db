"""The replay: what a candidate costs over its fit, and what a second replay costs over a look of DVC.

    python benchmarks/replay.py

Run it in a working copy where `champion replay` has run. That a new quarter runs only its candidate, the cards and the
walks is a test (tests/retraining/test_replay.py).
"""

import os
import sys
import tempfile
from datetime import date
from pathlib import Path

from champion.retraining.replay.history import History
from champion.retraining.replay.layout import CANDIDATES, FOLDER
from measure import BIN, REPOSITORY, Usage, in_turn, median, run

QUARTERS = ("2002-01-01", "2005-01-01", "2008-01-01")
IMPORTS = "from champion.retraining.replay.candidate import *"
# The model of rows that a file has already, and nothing besides.
FIT = """
import polars as pl
from champion.table.dataset import Dataset, Schema
from champion.retraining.replay.layout import SCHEMA
recipe = read(TrainParams, ROOT / "params.yaml").train
fit_pipeline(recipe, Dataset(pl.read_parquet({path!r}), Schema.read(SCHEMA)))
"""


def python(code: str) -> Usage:
    return run([sys.executable, "-c", code], REPOSITORY / FOLDER)


def measure_candidate(quarter: str, folder: Path) -> tuple[float, float]:
    """The stage's CPU without its imports, over that of the fit; and the fit's CPU seconds."""
    path = str(folder / "trained.parquet")
    History.read().trained(date.fromisoformat(quarter)).rows.write_parquet(path)
    stage = f"{IMPORTS}\nimport sys\nsys.argv[1:] = [{quarter!r}]\nmain()"
    imports = median([python(IMPORTS).cpu for _ in range(3)])
    pairs = in_turn(lambda: python(stage), lambda: python(IMPORTS + FIT.format(path=path)), 3)
    ratio = median([(ours.cpu - imports) / (floor.cpu - imports) for ours, floor in pairs])
    return ratio, median([floor.cpu - imports for _, floor in pairs])


def main() -> None:
    os.environ["PYTHONPATH"] = str(REPOSITORY / "src")
    os.chdir(REPOSITORY / FOLDER)
    before = {quarter: (CANDIDATES / f"{quarter}.skops").read_bytes() for quarter in QUARTERS}
    with tempfile.TemporaryDirectory() as folder:
        for quarter in QUARTERS:
            ratio, seconds = measure_candidate(quarter, Path(folder))
            print(f"candidate@{quarter}: {ratio:.2f} times the CPU of its fit ({seconds:.1f} s), without imports")
    if {quarter: (CANDIDATES / f"{quarter}.skops").read_bytes() for quarter in QUARTERS} != before:
        raise SystemExit("a candidate made again has other bytes")
    champion, dvc = str(BIN / "champion"), str(BIN / "dvc")
    pairs = in_turn(
        lambda: run([champion, "replay"], REPOSITORY), lambda: run([dvc, "status", "-q"], REPOSITORY / FOLDER), 3
    )
    ratio = median([ours.wall / look.wall for ours, look in pairs])
    print(f"a second replay: {ratio:.2f} times `dvc status`, {median([ours.wall for ours, _ in pairs]):.1f} s")


if __name__ == "__main__":
    main()
