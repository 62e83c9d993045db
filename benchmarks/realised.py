"""What the versions of five years promised, and what they did: as_of 2008 to 2012, each asked three years later.

Besides, how each did in the challenge of the champion of the years before.

    python benchmarks/realised.py

It runs the committed pipeline in a clone, with this repository's DVC cache, and registers in an environment of its own,
so no file, ledger or registry of yours changes. The file ends in mid-2014, so the last year is asked by then. The
contract's shares of missing and invalid values were written for 2011, and earlier rows have more: they may be any here.
"""

import json
import os
import subprocess
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from champion.repository import git
from champion.table.window import shift
from measure import BIN, REPOSITORY, run, use_own_staging

YEARS = range(2008, 2013)
MONTHS_LATER, LAST = 36, date(2014, 7, 1)
AUTHOR = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org")
TITLES = (
    "as_of",
    "labels known by",
    "promised ROC AUC",
    "rehearsals' interval",
    "realised ROC AUC",
    "rows",
    "Brier skill, promised / realised",
    "observed / expected, promised / realised",
    "gain over the champion",
)


def answer(command: list[str], folder: Path, *, check: bool = True) -> str:
    """What a command prints, with the folder's own code."""
    env = os.environ | {"PYTHONPATH": str(folder / "src")}
    return subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=check).stdout


def accept_any_share(folder: Path) -> None:
    """Let the contract accept any share of missing and invalid values in the columns that it names."""
    yaml, path = YAML(), folder / "params.yaml"
    params = yaml.load(path)
    for limits in params["contract"]["columns"].values():
        limits.update(max_missing=1.0, max_invalid=1.0)
    yaml.dump(params, path)


def realise(as_of: date, clone: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make, register and challenge with the version of that date, and ask what it did."""
    champion = str(BIN / "champion")
    run([champion, "as-of", str(as_of)], clone)
    run([str(BIN / "dvc"), "repro"], clone)
    git.answer(clone, *AUTHOR, "commit", "--quiet", "--all", "--allow-empty", "--message", f"As of {as_of}")
    version = answer([champion, "register"], clone).partition(":")[0]
    # A lost challenge has a status of its own.
    verdict: dict[str, Any] = json.loads(answer([champion, "challenge", "--json"], clone, check=False))
    known_by = min(shift(as_of, MONTHS_LATER, 1), LAST)
    details: dict[str, Any] = json.loads(
        answer([champion, "realised", version, "--as-of", str(known_by), "--json"], clone)
    )
    return details, verdict


def row(details: dict[str, Any], verdict: dict[str, Any]) -> list[str]:
    promised, realised = details["promised"], details["after"]["metrics"]
    within = " (outside)" if details["within_rehearsals"] is False else ""
    return [
        details["made"],
        details["as_of"],
        with_interval(promised, "roc_auc"),
        interval(promised, "rehearsed_roc_auc"),
        with_interval(realised, "roc_auc") + within,
        f"{details['after']['rows']:,}",
        f"{promised['brier_skill']:+.3f} / {realised['brier_skill']:+.3f}",
        f"{promised['observed_expected']:.2f} / {realised['observed_expected']:.2f}",
        told(verdict),
    ]


def told(verdict: dict[str, Any]) -> str:
    """The gain with its interval, and who is champion now."""
    if verdict["comparison"] is None:
        return "; ".join(verdict["reasons"]) or f"{verdict['challenger']} is the first champion"
    gain, winner = verdict["comparison"]["gain"], verdict["challenger" if verdict["won"] else "champion"]
    return f"{gain['difference']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]: {winner} is champion"


def with_interval(metrics: dict[str, Any], name: str) -> str:
    return f"{metrics[name]:.3f} {interval(metrics, name)}"


def interval(metrics: dict[str, Any], name: str) -> str:
    """Both ends; below 20 effective groups, or with fewer than three rehearsals, there are none."""
    low, high = metrics[f"{name}_low"], metrics[f"{name}_high"]
    return "(no interval)" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def main() -> None:
    cache = answer([str(BIN / "dvc"), "cache", "dir"], REPOSITORY).strip()
    with tempfile.TemporaryDirectory() as folder, git.clone_at(REPOSITORY) as clone:
        use_own_staging(folder)
        run([str(BIN / "dvc"), "cache", "dir", "--local", cache], clone)
        accept_any_share(clone)
        print(f"| {' | '.join(TITLES)} |\n|{'---|' * len(TITLES)}")
        for year in YEARS:
            print(f"| {' | '.join(row(*realise(date(year, 1, 1), clone)))} |", flush=True)


if __name__ == "__main__":
    main()
