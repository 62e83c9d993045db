"""`champion score` on 1 and 10 million rows, compared with ONNX Runtime that only reads, scores and writes the same.

    python benchmarks/batch.py

The rows are the prepared loans, repeated. The floor is a process that reads the same Parquet in batches, gives the
values as they are to the model's graph, on as many threads, and writes the same columns to Parquet. It treats no row,
checks no schema, keeps no journal and asks no ledger.
"""

import json
import sys
import tempfile
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from champion.core.files import read_parquet
from champion.core.layout import EARLIER, MODEL_ONNX, TEST
from champion.model.onnx_scorer import OnnxScorer
from measure import BIN, REPOSITORY, Usage, in_turn, median, run, use_own_staging

ROWS = {1_000_000: 3, 10_000_000: 1}
PIECE = 250_000
FLOOR = """
import json, os, sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
import numpy as np, onnxruntime, pyarrow as pa
from pyarrow.parquet import ParquetFile, ParquetWriter

source, target, model, features = *sys.argv[1:4], json.loads(sys.argv[4])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
numbers, texts = ([name for name, kind in features.items() if kind == of] for of in ("number", "category"))

def score(batch):
    given = {
        "numbers": np.column_stack([batch[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in numbers]),
        "categories": np.column_stack([batch[name].fill_null("").to_numpy(zero_copy_only=False) for name in texts]),
    }
    found = session.run(["probability"], given)[0]
    kept = [batch[name] for name in batch.schema.names if name not in features]
    added = [found, found >= 0.5, pa.nulls(len(found), pa.string()), pa.repeat("v1", len(found))]
    return pa.RecordBatch.from_arrays([*kept, *map(pa.array, added)], schema=schema)

file = ParquetFile(source, pre_buffer=False)
answer = {"probability": pa.float64(), "decision": pa.bool_(), "out_of_scope": pa.string(), "version": pa.string()}
schema = pa.schema([*(field for field in file.schema_arrow if field.name not in features), *answer.items()])
repeating = [field.name for field in schema if field.type != pa.float64()]
threads, waiting = len(os.sched_getaffinity(0)), deque()
writer = ParquetWriter(target, schema, compression="zstd", use_dictionary=repeating)
with writer, ThreadPoolExecutor(threads) as pool:
    for batch in file.iter_batches(65_536):
        waiting.append(pool.submit(score, batch))
        if len(waiting) > threads:
            writer.write_batch(waiting.popleft().result())
    for one in waiting:
        writer.write_batch(one.result())
"""


def repeat_rows(path: Path, count: int) -> None:
    """A Parquet file with that many rows."""
    rows = pl.concat([read_parquet(REPOSITORY / part) for part in (EARLIER, TEST)], how="diagonal_relaxed")
    table = rows.to_arrow().combine_chunks()
    with ParquetWriter(path, table.schema, compression="zstd") as writer:
        for start in range(0, count, PIECE):
            places = pa.array([row % rows.height for row in range(start, min(start + PIECE, count))])
            writer.write_table(table.take(places))


def main() -> None:
    if len(sys.argv) > 1:
        # A process of its own, as a measured one takes over the peak memory of the one that starts it.
        repeat_rows(Path(sys.argv[1]), int(sys.argv[2]))
        return
    scorer = OnnxScorer.open(REPOSITORY / MODEL_ONNX)
    features = json.dumps({feature.name: feature.kind for feature in scorer.features})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        use_own_staging(folder)
        run([str(BIN / "champion"), "register"], REPOSITORY)
        for count, rounds in ROWS.items():
            source, ours_file, floor_file = (folder / f"{name}.parquet" for name in ("rows", "ours", "floor"))
            run([sys.executable, __file__, str(source), str(count)], REPOSITORY)

            def ours(source: Path = source, target: Path = ours_file) -> Usage:
                return run([str(BIN / "champion"), "score", str(source), str(target), "--version", "v1"], REPOSITORY)

            def floor(source: Path = source, target: Path = floor_file) -> Usage:
                command = [sys.executable, "-c", FLOOR, str(source), str(target), str(REPOSITORY / MODEL_ONNX)]
                return run([*command, features], REPOSITORY)

            pairs = in_turn(ours, floor, rounds) if rounds > 1 else [(ours(), floor())]
            for what in ("wall", "cpu"):
                ratio = median([getattr(b, what) / getattr(a, what) for a, b in pairs])
                print(f"champion score, {count:,} rows, of the floor's rows per second of {what}: {ratio:.1%}")
            print(
                f"champion score, {count:,} rows: {count / median([one.wall for one, _ in pairs]):,.0f} rows a second, "
                f"peak memory {max(one.peak for one, _ in pairs):,.0f} MB (floor {pairs[-1][1].peak:,.0f} MB)",
                flush=True,
            )


if __name__ == "__main__":
    main()
