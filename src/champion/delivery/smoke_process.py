"""The process that `smoke` starts: it loads the models from a folder, tests them, and writes the result there."""

import json
import statistics
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
from champion.model.onnx_scorer import OnnxScorer
from champion.registry.versions import EXAMPLES_FILE, MODEL_FILE, ONNX_FILE
from champion.table.columns import dtype
from champion.table.exclusions import parse_exclusions
from champion.table.features import describe_features


def main(folder: Path) -> None:
    """Answer the question in the folder with the fields of a `SmokeReport`."""
    question = json.loads((folder / QUESTION_FILE).read_bytes())
    stored = json.loads((folder / EXAMPLES_FILE).read_bytes())
    answers = {name: _answer(folder / name, sha256, stored, question) for name, sha256 in question["models"].items()}
    manifests = [answer.pop("manifest") for answer in answers.values() if "manifest" in answer]
    wrong = [sentence for answer in answers.values() for sentence in answer["wrong"]]
    if any(manifest != manifests[0] for manifest in manifests):
        wrong.append("its files have different manifests")
    # The ONNX file serves, so only it must be fast. An older version has none.
    report = answers[ONNX_FILE if ONNX_FILE in answers else MODEL_FILE] | {"wrong": wrong}
    if "examples" in report:
        differences = [answer.get("largest_difference") for answer in answers.values()]
        known = [difference for difference in differences if difference is not None]
        report["largest_difference"] = max(known) if len(known) == len(differences) else None
    (folder / ANSWER_FILE).write_text(json.dumps(report), encoding="utf-8")


def _answer(path: Path, sha256: str, stored: Mapping[str, Any], question: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return _examine(_open(path, sha256), path.name, stored, question)
    except UserError as error:
        # The temporary folder is another one each time, and says nothing.
        wrong = f"{path.name} does not load: {str(error).replace(str(path), path.name)}"
    except Exception as error:
        # A forged or broken model can raise any exception.
        wrong = f"{path.name} raises {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return {"wrong": [wrong], "slow": []}


def _open(path: Path, sha256: str) -> Model | OnnxScorer:
    if path.name == ONNX_FILE:
        return OnnxScorer.open(path, sha256)
    # It imports scikit-learn, which takes seconds, and a server's test has no archive.
    from champion.model.model_file import load

    return load(path, sha256)


def _examine(
    model: Model | OnnxScorer, name: str, stored: Mapping[str, Any], question: Mapping[str, Any]
) -> dict[str, Any]:
    wrong, slow = [], []
    # A server judges each row by them. An exception says that it could not.
    parse_exclusions(model.manifest.exclusions)
    if describe_features(model.features) != question["features"]:
        wrong.append(f"the features of {name} differ from those at its registration")
    types = {feature.name: dtype(feature.type) for feature in model.features}
    values = {name: [row.get(name) for row in stored["rows"]] for name in types}
    rows = pl.DataFrame(values, schema=types, strict=False)
    found, expected = model.predict(rows), np.array(stored["probabilities"])
    if not len(expected):
        wrong.append("there are no stored examples to test it with")
    if np.isnan(found).any():
        wrong.append(f"{name} predicts NaN")
    elif len(found) and (found.min() < 0 or found.max() > 1):
        wrong.append(f"{name} predicts {found.min():g} to {found.max():g}, which are not probabilities")
    alone, latency = _ask_one_by_one(model, stored["rows"])
    difference = float(np.abs([found - expected, alone - expected]).max(initial=0.0))
    tolerance, row_latency_ms = question["prediction_tolerance"], question["row_latency_ms"]
    if not difference <= tolerance:
        wrong.append(
            f"the predictions of {name} differ by up to {difference:.3g} from those at its registration, but only "
            f"{tolerance:g} is allowed"
        )
    if latency > row_latency_ms:
        slow.append(f"one row of {name} takes {latency:.1f} ms, but only {row_latency_ms:g} ms are allowed")
    return {
        "manifest": model.manifest.describe(),
        "wrong": wrong,
        "slow": slow,
        "examples": len(expected),
        "largest_difference": difference if np.isfinite(difference) else None,
        "row_latency_ms": round(latency, 3),
    }


def _ask_one_by_one(model: Model | OnnxScorer, rows: Sequence[Mapping[str, Any]]) -> tuple[Scores, float]:
    """The prediction for each single row, as a server asks for it, and the median time of one in milliseconds."""
    answers, times = [], []
    for row in rows:
        start = time.perf_counter()
        answers.append(model.predict_row(row))
        times.append(time.perf_counter() - start)
    return np.array(answers), 1000 * statistics.median(times) if times else 0.0
