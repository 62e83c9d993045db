"""`dvc repro` with nothing to do, compared with the same number of trivial stages.

    python benchmarks/noop.py

Run it in a working copy where `dvc repro` has run.
"""

import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from measure import BIN, REPOSITORY, in_turn, median, run


def bare_pipeline(folder: Path, stages: int) -> None:
    """A pipeline with this number of stages, run once; each stage copies the file of the stage before it."""
    (folder / "0.txt").write_text("x", encoding="utf-8")
    document = {
        "stages": {
            f"s{i}": {"cmd": f"cp {i}.txt {i + 1}.txt", "deps": [f"{i}.txt"], "outs": [f"{i + 1}.txt"]}
            for i in range(stages)
        }
    }
    YAML().dump(document, folder / "dvc.yaml")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro", "-q"]):
        run(command, folder)


def main() -> None:
    stages = len(YAML(typ="safe").load(REPOSITORY / "dvc.yaml")["stages"])
    repro = [str(BIN / "dvc"), "repro", "-q"]
    run(repro, REPOSITORY)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare_pipeline(folder, stages)
        pairs = in_turn(lambda: run(repro, REPOSITORY), lambda: run(repro, folder), 9)
    more = median([ours.wall - bare.wall for ours, bare in pairs])
    ratio = median([ours.wall / bare.wall for ours, bare in pairs])
    print(
        f"no-op dvc repro, {stages} stages: {more:+.2f} s over DVC's own, {ratio:.2f} times "
        f"(median of {len(pairs)} pairs)"
    )


if __name__ == "__main__":
    main()
