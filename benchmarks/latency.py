"""Model.predict_row for one row and Model.predict for many, compared with scikit-learn's predict_proba.

    python benchmarks/latency.py

There are two baselines: predict_proba of the pipeline on a ready pandas frame, and predict_proba of the bare estimator
on the preprocessed matrix. All use one thread, like a server that predicts one row at a time.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from threadpoolctl import threadpool_limits

from champion.core.files import read_parquet
from champion.core.layout import MODEL, TEST
from champion.model.model_file import load
from champion.table.features import to_frame
from measure import REPOSITORY

BATCH = 25_000
ROUNDS = {1: 200, BATCH: 5}


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    model = load(REPOSITORY / MODEL)
    test = read_parquet(REPOSITORY / TEST)
    preprocess, estimator = model.pipeline.named_steps.values()
    with threadpool_limits(1):
        for size, rounds in ROUNDS.items():
            rows = test.head(size)
            frame = to_frame(rows, model.features)
            matrix = preprocess.transform(frame)
            sides: dict[str, Callable[[], Any]] = {
                "ours": lambda rows=rows: model.predict(rows),
                "pipeline": lambda frame=frame: model.pipeline.predict_proba(frame),
                "estimator": lambda matrix=matrix: estimator.predict_proba(matrix),
            }
            method = "Model.predict"
            if size == 1:
                method, row = "Model.predict_row", rows.row(0, named=True)
                sides["ours"] = lambda row=row: model.predict_row(row)
            # The sides take turns, so a busy machine slows all of them alike.
            took = [{side: seconds(call) for side, call in sides.items()} for _ in range(rounds + 1)][1:]
            ours = statistics.median(times["ours"] for times in took)
            ratios = {
                peer: statistics.median(times["ours"] / times[peer] for times in took)
                for peer in ("pipeline", "estimator")
            }
            print(
                f"{method}, {rows.height:,} row{'s' if rows.height > 1 else ''}: {ours * 1e6 / rows.height:,.1f} us a "
                f"row, {ratios['pipeline']:.2f} times scikit-learn's pipeline, {ratios['estimator']:.2f} times the "
                f"bare estimator (medians of {rounds})"
            )


if __name__ == "__main__":
    main()
