"""The archive and the ONNX file, for one row and for many, compared with scikit-learn's predict_proba.

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
from champion.core.layout import MODEL, MODEL_ONNX, TEST
from champion.model.model_file import load
from champion.model.onnx_scorer import OnnxScorer
from champion.table.features import to_frame
from measure import REPOSITORY

BATCH = 25_000
ROUNDS = {1: 200, BATCH: 5}


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    model, scorer = load(REPOSITORY / MODEL), OnnxScorer.open(REPOSITORY / MODEL_ONNX)
    test = read_parquet(REPOSITORY / TEST)
    preprocess, estimator = model.pipeline.named_steps.values()
    with threadpool_limits(1):
        for size, rounds in ROUNDS.items():
            rows = test.head(size)
            frame, row = to_frame(rows, model.features), rows.row(0, named=True)
            matrix = preprocess.transform(frame)
            sides: dict[str, Callable[[], Any]] = {
                "pipeline": lambda frame=frame: model.pipeline.predict_proba(frame),
                "estimator": lambda matrix=matrix: estimator.predict_proba(matrix),
            }
            for ours in (model, scorer):
                name = type(ours).__name__
                if size == 1:
                    sides[f"{name}.predict_row"] = lambda ours=ours, row=row: ours.predict_row(row)
                else:
                    sides[f"{name}.predict"] = lambda ours=ours, rows=rows: ours.predict(rows)
            # The sides take turns, so a busy machine slows all of them alike.
            took = [{side: seconds(call) for side, call in sides.items()} for _ in range(rounds + 1)][1:]
            for side in list(sides)[2:]:
                each = statistics.median(times[side] for times in took) * 1e6 / rows.height
                ratios = [statistics.median(times[side] / times[peer] for times in took) for peer in list(sides)[:2]]
                print(
                    f"{side}, {rows.height:,} row{'s' if rows.height > 1 else ''}: {each:,.1f} us a row, "
                    f"{ratios[0]:.3f} times scikit-learn's pipeline, {ratios[1]:.3f} times the bare estimator (medians "
                    f"of {rounds})"
                )


if __name__ == "__main__":
    main()
