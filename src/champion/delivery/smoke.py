"""Whether a model in a store works: its files load by hash and predict the same as at its registration.

The test has a process of its own, so a model that crashes or never ends only fails the test.
"""

import importlib.util
import json
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from champion.core.errors import UserError
from champion.environments import Thresholds
from champion.registry.versions import MODEL_FILE, Version

QUESTION_FILE = "question.json"
ANSWER_FILE = "answer.json"
ERRORS_FILE = "errors.txt"


@dataclass(frozen=True)
class SmokeReport:
    """Every reason for a failure, and the measurements; these are None if a model did not load.

    `row_latency_ms` is of the file that serves: the ONNX file, if the version has one.
    """

    wrong: Sequence[str] = ()
    slow: Sequence[str] = ()
    examples: int | None = None
    largest_difference: float | None = None
    row_latency_ms: float | None = None

    @property
    def failures(self) -> list[str]:
        """What is wrong, then what is slow."""
        return [*self.wrong, *self.slow]

    @property
    def passed(self) -> bool:
        """Whether the model may serve."""
        return not self.failures

    def details(self) -> dict[str, Any]:
        """The report as a ledger row keeps it."""
        kept: dict[str, Any] = {"passed": self.passed, "failures": self.failures}
        if self.examples is None:
            return kept
        measured = {"largest_difference": self.largest_difference, "row_latency_ms": self.row_latency_ms}
        return kept | {"examples": self.examples} | measured


def examine(files: Mapping[str, bytes], version: Version, thresholds: Thresholds) -> SmokeReport:
    """The report of a smoke test of these files, by name: the models of the version, and its examples.

    Raises `UserError` where nothing can open a model, as that says nothing about the model.
    """
    if MODEL_FILE in version.models and importlib.util.find_spec("skops") is None:
        raise UserError(f"the smoke test opens {MODEL_FILE} with skops, which is not installed here. Run `make setup`.")
    question = {
        "models": version.models,
        "features": list(version.features),
        "prediction_tolerance": thresholds.prediction_tolerance,
        "row_latency_ms": thresholds.row_latency_ms,
    }
    with tempfile.TemporaryDirectory(prefix="champion-") as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        (folder / QUESTION_FILE).write_text(json.dumps(question), encoding="utf-8")
        status = _ask(folder, thresholds.seconds, MODEL_FILE in version.models)
        if status is None:
            return SmokeReport((f"it did not end, and was stopped after {thresholds.seconds:g} s",))
        if status:
            last = (["no message", *(folder / ERRORS_FILE).read_text("utf-8", "replace").splitlines()])[-1]
            return SmokeReport((f"its process ended {_how(status)}: {last}",))
        answer: Mapping[str, Any] = json.loads((folder / ANSWER_FILE).read_bytes())
    return SmokeReport(**answer)


def _ask(folder: Path, seconds: float, with_archive: bool) -> int | None:
    """The exit status of the test's process, negative for a signal; None when it was stopped after these seconds."""
    process = _processes(with_archive).Process(target=_answer, args=(folder,))
    # The first test starts the server, which then imports nothing from the current folder.
    with _environment("PYTHONSAFEPATH", "1"):
        process.start()
    process.join(seconds)
    status: int | None = process.exitcode
    if status is None:
        process.kill()
        process.join()
    process.close()
    return status


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@lru_cache
def _processes(with_archive: bool) -> Any:
    """How a process is started: by a server that has imported the libraries, so further tests need not wait for that.

    Only an archive needs scikit-learn, which takes the most time. Windows has no such server.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    archive = ["champion.model.model_file"] if with_archive else []
    context.set_forkserver_preload(["champion.delivery.smoke_process", *archive])
    return context


def _answer(folder: Path) -> None:
    with (folder / ERRORS_FILE).open("w") as errors:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(errors.fileno(), stream.fileno())
    from champion.delivery.smoke_process import main

    main(folder)


def _how(status: int) -> str:
    try:
        return f"by the signal {signal.Signals(-status).name}"
    except ValueError:
        # On Windows a crash is only a number.
        return f"with exit status {status}"
