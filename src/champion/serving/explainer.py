"""Reasons for answers: which fields moved a probability most, found in a thread of their own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import numpy as np

from champion.model.onnx_scorer import Reading
from champion.model.reasons import explain, rows_to_score
from champion.serving.live_model import OpenVersion
from champion.serving.problems import Problem
from champion.serving.schema import MAX_SCORED, Reason, max_explained
from champion.serving.scoring import Read

# Rows that may have to be scored for all requests that wait in a worker. It takes some seconds.
MAX_WAITING = 25 * MAX_SCORED
# What a version may take, with what waits before it.
MAX_SECONDS = 20.0
# What is smaller comes from the last digits of a float, which depend on the rows that are scored together.
DECIMALS = 9

Reasons = list[Reason]


class Explainer:
    """Finds the reasons of a version's answers in one thread, so that nobody waits who asks for none."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "reasons")
        self._waiting = 0

    async def explain(
        self,
        version: OpenVersion,
        rows: Sequence[Mapping[str, Any]],
        read: Sequence[Read],
        most: int,
        is_wanted: Callable[[], bool],
    ) -> list[Reasons | None]:
        """Up to `most` reasons for each row, None for a row out of scope or when they are no longer wanted.

        Raises `Problem` when the version has no reference row, or when there are too many rows here or of others;
        `TimeoutError` when it takes too long; any exception of a broken model.
        """
        reference, scored = _reference(version), _scored(version, len(rows))
        if self._waiting + scored > MAX_WAITING:
            raise busy()

        def explain_each() -> list[Reasons | None]:
            return [
                _explain(version, row, reading, reference, most) if rule is None and is_wanted() else None
                for row, (reading, rule) in zip(rows, read, strict=True)
            ]

        self._waiting += scored
        try:
            async with asyncio.timeout(MAX_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self.pool, explain_each)
        finally:
            self._waiting -= scored


def busy() -> Problem:
    """The problem of a request whose turn does not come."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many requests wait for reasons. Try again later, or ask without `reasons`.",
        headers={b"retry-after": b"5"},
    )


def _reference(version: OpenVersion) -> Reading:
    if version.reference is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"{version.name} was made before versions had a reference row to compare with, so it can give no reasons. "
            "Ask without `reasons`, or deploy a newer version.",
        )
    return version.reference


def _scored(version: OpenVersion, rows: int) -> int:
    """How many rows may have to be scored to explain so many."""
    columns = len(version.features)
    if rows > max_explained(columns):
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The request has {rows} rows, but with `reasons` at most {max_explained(columns)} are allowed. Send "
            "several requests.",
        )
    return rows * rows_to_score(columns)


def _explain(version: OpenVersion, row: Mapping[str, Any], reading: Reading, reference: Reading, most: int) -> Reasons:
    effects = explain(version.scorer, reading, reference)
    if not np.isfinite(effects).all():
        raise ValueError(f"{version.name} gives NaN as the probability of a row that is like its reference row")
    reference_values = version.scorer.manifest.reference or {}
    sizes = np.abs(effects).round(DECIMALS)
    found = []
    for column in np.argsort(-sizes, stable=True)[:most].tolist():
        if sizes[column] > 0:
            name = version.features[column].name
            found.append(Reason(name, row[name], reference_values[name], float(effects[column])))
    return found
