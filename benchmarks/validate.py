"""The validate stage on the default window, compared with a bare import of Great Expectations.

    python benchmarks/validate.py

Run it in a working copy where `dvc repro` has run.
"""

import sys

from measure import REPOSITORY, in_turn, median, run


def main() -> None:
    stage = [sys.executable, "-m", "champion.pipeline.validate"]
    bare = [sys.executable, "-c", "import great_expectations, great_expectations.expectations"]
    pairs = in_turn(lambda: run(stage, REPOSITORY), lambda: run(bare, REPOSITORY), 7)
    more = median([ours.wall - floor.wall for ours, floor in pairs])
    ratio = median([ours.wall / floor.wall for ours, floor in pairs])
    print(
        f"validate: {more:+.2f} s over importing Great Expectations, {ratio:.2f} times (median of {len(pairs)} pairs)"
    )


if __name__ == "__main__":
    main()
