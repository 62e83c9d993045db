"""The prediction log with a million rows: its export, and the page of a server that counts it.

    python benchmarks/predictions.py

The rows are real loans with their outcomes. The export is compared with Polars that writes the same table, which it has
in memory, to the same kind of Parquet; both take turns in one process. The page is that of a server of this machine.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import polars as pl
import requests

from champion.core.files import read_parquet
from champion.core.layout import MODEL_ONNX, TEST
from champion.delivery.observer import count_answers
from champion.model.onnx_scorer import OnnxScorer
from champion.predictions.export import export
from champion.predictions.log import PredictionLog
from champion.predictions.record import Answered, Complete, Outcome, Row
from champion.table.columns import TARGET
from measure import BIN, REPOSITORY, median
from serving import LOG, free_port, prepare, running, staging

ROWS = 1_000_000
PER_REQUEST = 20
ROUNDS = 3
PART = 2_000


def answers(rows: int) -> Iterator[list[Answered | Outcome]]:
    """Requests of many rows with the answers of the model, one a second, and the events of their rows."""
    table, scorer = read_parquet(REPOSITORY / TEST), OnnxScorer.open(REPOSITORY / MODEL_ONNX)
    names, cut = [feature.name for feature in scorer.features], scorer.manifest.cut
    probabilities, labels = scorer.predict(table).tolist(), table[TARGET].to_list()
    encoded = [msgspec.json.encode(row) for row in table.select(names).to_dicts()]
    start = time.time() - 4 * 365 * 86_400
    for first in range(0, rows // PER_REQUEST, PART):
        found: list[Answered | Outcome] = []
        for number in range(first, min(first + PART, rows // PER_REQUEST)):
            places = [(number * PER_REQUEST + row) % len(encoded) for row in range(PER_REQUEST)]
            its_id, at = f"{number:032x}", start + number
            # No two rows are the same, as in a real log.
            texts = [encoded[place][:-1] + b',"more":%d}' % (number * PER_REQUEST + place) for place in places]
            rows_of = [
                Row(msgspec.Raw(text), probabilities[place], probabilities[place] >= cut, None)
                for text, place in zip(texts, places, strict=True)
            ]
            found.append(Answered("w", number, at, its_id, None, "v1", None, rows_of))
            day = time.strftime("%Y-%m-%d", time.gmtime(at + 100 * 86_400))
            found += [Outcome(at, its_id, row, day) for row, place in enumerate(places) if labels[place]]
        yield found


def fill(log: PredictionLog) -> None:
    """Let the log have so many rows, all of whose events are known."""
    log.prepare()
    for part in answers(ROWS):
        log.add(part)
    log.add([Complete(time.time(), time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400)))])


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def compare_export(log: PredictionLog, folder: Path) -> None:
    """The export against Polars that writes the same table."""
    ours, floor = folder / "ours.parquet", folder / "floor.parquet"
    export(log, ours, None, None)
    table = pl.read_parquet(ours)
    pairs = [
        (seconds(lambda: export(log, ours, None, None)), seconds(lambda: table.write_parquet(floor)))
        for _ in range(ROUNDS)
    ]
    ratio = median([a / b for a, b in pairs])
    print(f"export of {table.height:,} rows: {median([a for a, _ in pairs]):.1f} s, {ratio:.2f} of Polars", flush=True)


def time_page(folder: Path, key: str) -> None:
    """How long the page takes while the log has its rows, and how long its parent process counts them."""
    registry = staging(folder)
    counted = median([seconds(lambda: count_answers(registry)) for _ in range(ROUNDS)])
    port = free_port()
    command = [str(BIN / "champion"), "serve", "--env", "staging", "--port", str(port), "--workers", "1"]
    with running(command, port, folder), requests.Session() as client:
        client.auth = ("benchmark", key)

        def look() -> None:
            answer = client.get(f"http://127.0.0.1:{port}/", timeout=30)
            answer.raise_for_status()

        first = seconds(look)
        time.sleep(4 * counted + 6)
        if f"{ROWS:,} rows" not in client.get(f"http://127.0.0.1:{port}/", timeout=30).text:
            raise SystemExit("the page has not counted the log")
        took = sorted(1000 * seconds(look) for _ in range(100))
    print(
        f"the page with {ROWS:,} rows in the log: {median(took):.1f} ms, the slowest of 100 {took[-1]:.1f} ms, the "
        f"first {1000 * first:.0f} ms; they are counted in {counted:.1f} s",
        flush=True,
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        key = prepare(folder)
        config = folder / "config/environments.yaml"
        config.write_text(config.read_text().replace("    users_key:", f"    {LOG} sqlite:///log.db\n    users_key:"))
        log = PredictionLog(f"sqlite:///{folder}/log.db", "staging")
        print(f"{ROWS:,} rows are added in {seconds(lambda: fill(log)):.0f} s", flush=True)
        compare_export(log, folder)
        time_page(folder, key)


if __name__ == "__main__":
    main()
