"""The process that `smoke` starts: it loads the model from a folder, tests it, and writes the result there."""

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from champion.core.errors import UserError
from champion.delivery.smoke import ANSWER_FILE, QUESTION_FILE
from champion.model.bootstrap import Scores
from champion.model.model import Model
from champion.model.model_file import load
from champion.registry.versions import EXAMPLES_FILE, MODEL_FILE
from champion.table.columns import dtype
from champion.table.features import describe_features


def main(folder: Path) -> None:
    """Answer the question in the folder with the fields of a `SmokeReport`."""
    question = json.loads((folder / QUESTION_FILE).read_bytes())
    try:
        stored = json.loads((folder / EXAMPLES_FILE).read_bytes())
        answer = _examine(load(folder / MODEL_FILE, question["sha256"]), stored, question)
    except UserError as error:
        answer = {"wrong": [f"the model does not load: {error}"]}
    except Exception as error:
        # A forged or broken model can raise any exception.
        answer = {"wrong": [f"it raises {type(error).__name__}: {' '.join(str(error).split())[:200]}"]}
    (folder / ANSWER_FILE).write_text(json.dumps(answer), encoding="utf-8")


def _examine(model: Model, stored: Mapping[str, Any], question: Mapping[str, Any]) -> dict[str, Any]:
    wrong, slow = [], []
    if describe_features(model.features) != question["features"]:
        wrong.append("its features differ from those at its registration")
    types = {feature.name: dtype(feature.type) for feature in model.features}
    values = {name: [row.get(name) for row in stored["rows"]] for name in types}
    rows = pl.DataFrame(values, schema=types, strict=False)
    found, expected = model.predict(rows), np.array(stored["probabilities"])
    if not len(expected):
        wrong.append("there are no stored examples to test it with")
    if np.isnan(found).any():
        wrong.append("it predicts NaN")
    elif len(found) and (found.min() < 0 or found.max() > 1):
        wrong.append(f"it predicts {found.min():g} to {found.max():g}, which are not probabilities")
    alone, latency = _ask_one_by_one(model, stored["rows"])
    difference = float(np.abs([found - expected, alone - expected]).max(initial=0.0))
    tolerance, row_latency_ms = question["prediction_tolerance"], question["row_latency_ms"]
    if not difference <= tolerance:
        wrong.append(
            f"its predictions differ by up to {difference:.3g} from those at its registration, but only "
            f"{tolerance:g} is allowed"
        )
    if latency > row_latency_ms:
        slow.append(f"one row takes {latency:.1f} ms, but only {row_latency_ms:g} ms are allowed")
    return {
        "wrong": wrong,
        "slow": slow,
        "examples": len(expected),
        "largest_difference": difference if np.isfinite(difference) else None,
        "row_latency_ms": round(latency, 3),
    }


def _ask_one_by_one(model: Model, rows: Sequence[Mapping[str, Any]]) -> tuple[Scores, float]:
    """The prediction for each single row, as a server asks for it, and the median time of one in milliseconds."""
    answers, times = [], []
    for row in rows:
        start = time.perf_counter()
        answers.append(model.predict_row(row))
        times.append(time.perf_counter() - start)
    return np.array(answers), 1000 * statistics.median(times) if times else 0.0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
