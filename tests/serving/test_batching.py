"""Rows of several requests are scored together, and each request gets its own."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from champion.core.layout import MODEL_ONNX
from champion.model.onnx_scorer import OnnxScorer, Reading
from champion.serving.batching import Batcher
from support.serving import ROW


@pytest.fixture(scope="module")
def scorers(results: Path) -> list[OnnxScorer]:
    return [OnnxScorer.open(results / name / MODEL_ONNX) for name in ("weak", "strong")]


def test_each_request_gets_the_scores_of_its_own_rows(scorers: list[OnnxScorer]) -> None:
    requests = [
        (scorers[number % 2], [scorers[0].read(ROW | {"age": number + row / 10}) for row in range(number % 5)])
        for number in range(40)
    ]

    async def ask() -> list[np.ndarray]:
        batcher = Batcher()
        cancelled = asyncio.ensure_future(batcher.score(*requests[3]))
        asked = [asyncio.ensure_future(batcher.score(*request)) for request in requests]
        await asyncio.sleep(0)
        cancelled.cancel()
        return await asyncio.gather(*asked)

    for (scorer, rows), found in zip(requests, asyncio.run(ask()), strict=True):
        expected = [scorer.score([row])[0] for row in rows]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_an_error_reaches_the_requests_of_its_version_alone(scorers: list[OnnxScorer]) -> None:
    row = scorers[0].read(ROW)
    broken = Reading(row.numbers[:1], row.texts, [], [])

    async def ask() -> list[object]:
        batcher = Batcher()
        asked = [
            batcher.score(scorers[0], [broken]),
            batcher.score(scorers[1], [row]),
            batcher.score(scorers[0], [broken]),
        ]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    first, whole, last = asyncio.run(ask())
    assert isinstance(first, Exception)
    assert isinstance(last, Exception)
    assert whole == pytest.approx(scorers[1].score([row]))
