"""The default recipe in every year from 2006 to 2011: a model made on January 1, tested on the loans of that year.

    python benchmarks/rehearsals.py

The recipe was chosen on the rehearsals of 2002 to 2005 alone. It runs as of 2011 and as of 2014, in a working folder of
its own, and each year is printed as it came.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from champion.core.files import read_json
from champion.core.layout import EVALUATION, REHEARSALS
from champion.core.metrics_file import read_metrics
from measure import REPOSITORY, run

DATES = ("2011-01-01", "2014-01-01")
STAGES = ("ingest", "prepare", "validate", "train", "refit", "rehearse", "package", "evaluate")
FIRST = "2006"
SHOWN = ("rows", "base_rate", "mean_probability", "roc_auc", "brier_skill")


def rehearse(as_of: str, folder: Path) -> dict[str, dict[str, Any]]:
    """The metrics of each rehearsal and of the test, by the date at which the model was made."""
    yaml = YAML()
    params = yaml.load(REPOSITORY / "params.yaml")
    params["as_of"] = as_of
    yaml.dump(params, folder / "params.yaml")
    for name in ("src", "requirements"):
        if not (folder / name).exists():
            (folder / name).symlink_to(REPOSITORY / name)
    for stage in STAGES:
        run([sys.executable, "-m", f"champion.pipeline.{stage}"], folder)
    shown = {one["rehearsal"]: one for one in read_json(folder / REHEARSALS)["rehearsals"]}
    made = read_json(folder / "models/train/fitted.json")["made"]
    return shown | {made: read_metrics(folder / EVALUATION)}


def main() -> None:
    years: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for as_of in DATES:
            years |= rehearse(as_of, Path(folder))
    chosen = {made: metrics for made, metrics in sorted(years.items()) if made >= FIRST}
    print("made on     rows    observed  predicted  ROC AUC  Brier skill")
    for made, metrics in chosen.items():
        rows, observed, predicted, auc, skill = (metrics[name] for name in SHOWN)
        print(f"{made}  {rows:6,}  {observed:8.2%}  {predicted:9.2%}  {auc:7.3f}  {skill:+11.3f}")
    print(f"mean ROC AUC: {statistics.mean(metrics['roc_auc'] for metrics in chosen.values()):.3f}")


if __name__ == "__main__":
    main()
