"""Model.predict for one row and for many, compared with scikit-learn's predict_proba on the same prepared rows.

    python benchmarks/latency.py

There are two baselines: predict_proba of the pipeline on a ready pandas frame, and predict_proba of the bare estimator
on the preprocessed matrix. All use one thread, like a server that predicts one row at a time.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from threadpoolctl import threadpool_limits

from champion.model.model_file import load
from champion.table.dataset import read_split
from champion.table.features import to_frame
from measure import REPOSITORY

BATCH = 50_000
ROUNDS = {1: 200, BATCH: 5}


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    model = load(REPOSITORY / "models/model.skops")
    held_out = read_split(REPOSITORY / "data/prepared", "test")
    preprocess, estimator = model.pipeline.named_steps.values()
    with threadpool_limits(1):
        for size, rounds in ROUNDS.items():
            rows = held_out.rows.head(size)
            frame = to_frame(rows, model.features)
            matrix = preprocess.transform(frame)
            sides: dict[str, Callable[[], Any]] = {
                "Model.predict": lambda rows=rows: model.predict(rows),
                "pipeline": lambda frame=frame: model.pipeline.predict_proba(frame),
                "estimator": lambda matrix=matrix: estimator.predict_proba(matrix),
            }
            # The sides take turns, so that a busy machine slows all of them equally.
            took = [{name: seconds(call) for name, call in sides.items()} for _ in range(rounds + 1)][1:]
            ours = statistics.median(times["Model.predict"] for times in took)
            ratios = {
                name: statistics.median(times["Model.predict"] / times[name] for times in took)
                for name in ("pipeline", "estimator")
            }
            print(
                f"{rows.height:,} row{'s' if rows.height > 1 else ''}: {ours * 1e6 / rows.height:,.1f} us a row, "
                f"{ratios['pipeline']:.2f} times scikit-learn's pipeline, {ratios['estimator']:.2f} times the bare "
                f"estimator (medians of {rounds})"
            )


if __name__ == "__main__":
    main()
