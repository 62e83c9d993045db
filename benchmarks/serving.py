"""The server: its one-row predictions per second against a no-op of bare ASGI on the same server, and against MLflow's.

    python benchmarks/serving.py

Each server has one process, and the client another. They take turns, so a busy machine slows all alike. The client
sends 500 real rows over 16 connections, with an API key. It needs the model that `dvc repro` made.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from champion.core.files import read_parquet
from champion.core.layout import MODEL, MODEL_ONNX, TEST
from champion.delivery import deployment, rollout
from champion.model.model_file import load
from champion.model.onnx_scorer import OnnxScorer
from champion.table.features import to_frame
from load import post, send
from measure import REPOSITORY
from servers import free_port, log_answers, mlflow_command, noop_command, prepare, running, serve_command, staging

ROWS = 500
SECONDS = 3.0
ROUNDS = 7
FOLLOW_SECONDS = 3.0


def rate(port: int, requests: list[bytes]) -> float:
    return send(port, requests, SECONDS).per_second


def ratios(sides: Mapping[str, Callable[[], float]]) -> list[dict[str, float]]:
    """What each side gives in each round, after one that does not count."""
    return [{name: side() for name, side in sides.items()} for _ in range(ROUNDS + 1)][1:]


def report(name: str, rounds: list[dict[str, float]], peer: str) -> None:
    ratio = statistics.median(one[name] / one[peer] for one in rounds)
    each = {side: statistics.median(one[side] for one in rounds) for side in (name, peer)}
    print(f"{name}: {each[name]:,.0f} requests per second, {ratio:.2f} of {peer} ({each[peer]:,.0f})", flush=True)


def ask_ours(rows: list[dict[str, Any]], key: str, query: str = "") -> list[bytes]:
    """Each row as a request of a user of its own."""
    bodies = [{"row": row, "user_id": f"user-{number}"} for number, row in enumerate(rows)]
    path, headers = f"/v1/predict{query}", {"authorization": f"Bearer {key}"}
    return [post(path, json.dumps(body).encode(), headers) for body in bodies]


def ask_mlflow(rows: list[dict[str, Any]]) -> list[bytes]:
    """Each row as MLflow reads it."""
    bodies = [{"dataframe_split": {"columns": list(row), "data": [list(row.values())]}} for row in rows]
    return [post("/invocations", json.dumps(body).encode(), {}) for body in bodies]


def compare_with_noop(folder: Path, port: int, requests: list[bytes]) -> None:
    """The server against a no-op of bare ASGI, without and with a rollout, and its latency at half of its rate."""
    other = free_port()
    with running(noop_command(other), other, folder):
        sides = {"champion serve": lambda: rate(port, requests), "the no-op": lambda: rate(other, requests)}
        rounds = ratios(sides)
        report("champion serve", rounds, "the no-op")
        half = statistics.median(one["champion serve"] for one in rounds) / 2
        pairs = [[send(one, requests, SECONDS, per_second=half) for one in (port, other)] for _ in range(ROUNDS)]
        for percent in (50, 99):
            ours, theirs = ([1000 * pair[side].percentile(percent) for pair in pairs] for side in (0, 1))
            print(
                f"at half of that rate, percentile {percent}: {statistics.median(ours):.2f} ms (the no-op: "
                f"{statistics.median(theirs):.2f}); in the quietest round {min(ours):.2f} ms ({min(theirs):.2f})",
                flush=True,
            )
        rollout.roll_out(staging(folder), "v2", 50)
        time.sleep(FOLLOW_SECONDS)
        print("with a rollout to half of the users, ", end="")
        report("champion serve", ratios(sides), "the no-op")
        rollout.stop(staging(folder))
        time.sleep(FOLLOW_SECONDS)


def compare_logged(folder: Path, port: int, requests: list[bytes]) -> None:
    """A server that logs its answers against the one that does not."""
    log_answers(folder)
    other = free_port()
    with running(serve_command(other), other, folder):
        sides = {"with the prediction log": lambda: rate(other, requests), "without it": lambda: rate(port, requests)}
        report("with the prediction log", ratios(sides), "without it")


def compare_explained(port: int, requests: list[bytes], explained: list[bytes]) -> None:
    """The same requests with four reasons against those without."""
    sides = {"with reasons=4": lambda: rate(port, explained), "without reasons": lambda: rate(port, requests)}
    report("with reasons=4", ratios(sides), "without reasons")


def time_switches(folder: Path, port: int, key: str) -> None:
    """How long after a deployment the server answers with its version."""
    took = []
    for version in ("v2", "v1") * ROUNDS:
        deployment.deploy(staging(folder), version)
        start = time.perf_counter()
        while json.loads(ask(port, key))["version"] != version:
            time.sleep(0.01)
        took.append(time.perf_counter() - start)
    print(f"a deployment is followed after {statistics.median(took):.2f} s, at most {max(took):.2f} s", flush=True)


def ask(port: int, key: str) -> bytes:
    request = Request(f"http://127.0.0.1:{port}/v1/model", headers={"authorization": f"Bearer {key}"})
    with urlopen(request) as answer:  # noqa: S310
        return bytes(answer.read())


def compare_with_mlflow(folder: Path, port: int, requests: list[bytes], rows: list[dict[str, Any]]) -> None:
    """The server against `mlflow models serve` with the same model."""
    other = free_port()
    with running(mlflow_command(folder, other), other, folder):
        theirs = ask_mlflow(rows)
        sides = {"champion serve": lambda: rate(port, requests), "mlflow models serve": lambda: rate(other, theirs)}
        report("champion serve", ratios(sides), "mlflow models serve")


def main() -> None:
    scorer = OnnxScorer.open(REPOSITORY / MODEL_ONNX)
    test = read_parquet(REPOSITORY / TEST).select(feature.name for feature in scorer.features)
    rows = test.sample(ROWS, seed=0).to_dicts()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = prepare(folder)
        requests = ask_ours(rows, key)
        port = free_port()
        with running(serve_command(port), port, folder):
            time_switches(folder, port, key)
            compare_with_noop(folder, port, requests)
            compare_explained(port, requests, ask_ours(rows, key, "?reasons=4"))
            compare_logged(folder, port, requests)
            compare_with_mlflow(folder, port, requests, rows)
    in_process(scorer, rows)


def in_process(scorer: OnnxScorer, rows: list[dict[str, Any]]) -> None:
    """One row scored inside the process, against the archive's model with a frame of one row."""
    model = load(REPOSITORY / MODEL)
    frame = to_frame(read_parquet(REPOSITORY / TEST).head(1), model.features)

    def seconds(call: Callable[[], Any], times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - start) / times

    rounds = []
    for _ in range(ROUNDS):
        ours = seconds(lambda: scorer.predict_row(rows[0]), 2000)
        rounds.append((ours, seconds(lambda: model.predict(frame), 20)))
    ratio = statistics.median(theirs / ours for ours, theirs in rounds)
    us, ms = (statistics.median(one[side] for one in rounds) * unit for side, unit in ((0, 1e6), (1, 1e3)))
    print(f"one row in the process: {us:.0f} us, 1/{ratio:.0f} of Model.predict with a frame ({ms:.1f} ms)")


if __name__ == "__main__":
    main()
