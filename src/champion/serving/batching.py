"""Rows of several requests, scored together: a run of the session takes about as long for eight rows as for one."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from champion.model.onnx_scorer import OnnxScorer, Reading

Scores = NDArray[np.float64]


class Receiver(Protocol):
    """Who waits for the scores of some rows, as a future does."""

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def set_result(self, result: Scores, /) -> None:
        """Take the scores."""

    def set_exception(self, exception: BaseException, /) -> None:
        """Hear why there are none."""


Requests = list[tuple[Sequence[Reading], Receiver]]


class Batcher:
    """Scores what the requests of one moment need, here or in a thread of the `pool`.

    No request waits for another to come.
    """

    def __init__(self, pool: Executor | None = None) -> None:
        self._pool = pool
        self._waiting: dict[OnnxScorer, Requests] = {}

    def ask(self, scorer: OnnxScorer, rows: Sequence[Reading], receiver: Receiver) -> None:
        """Let the receiver have a probability for each row.

        Its last digit may depend on how many rows are scored together.
        """
        if not rows:
            receiver.set_result(np.empty(0))
            return
        if not self._waiting:
            loop = asyncio.get_running_loop()
            # By then, all requests that have arrived at this moment are here.
            loop.call_soon(self._score_all, loop)
        self._waiting.setdefault(scorer, []).append((rows, receiver))

    async def score(self, scorer: OnnxScorer, rows: Sequence[Reading]) -> Scores:
        """The same, to wait for."""
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self.ask(scorer, rows, future)
        return await future

    def _score_all(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, {}
        for scorer, requests in waiting.items():
            together = [row for rows, _ in requests for row in rows]
            try:
                if self._pool is not None:
                    # It has ended when its version was forgotten meanwhile.
                    asked = loop.run_in_executor(self._pool, scorer.score, together)
                    asked.add_done_callback(partial(_hand_out_result, requests))
                    continue
                scores = scorer.score(together)
            except Exception as error:
                # ONNX Runtime has many exceptions. Each request tells its own client.
                _fail(requests, error)
            else:
                _hand_out(requests, scores)


def _hand_out_result(requests: Requests, asked: "asyncio.Future[Scores]") -> None:
    if asked.cancelled():
        _fail(requests, RuntimeError("its thread has ended"))
    elif (error := asked.exception()) is not None:
        _fail(requests, error)
    else:
        _hand_out(requests, asked.result())


def _hand_out(requests: Requests, scores: Scores) -> None:
    start = 0
    for rows, receiver in requests:
        if not receiver.done():
            receiver.set_result(scores[start : start + len(rows)])
        start += len(rows)


def _fail(requests: Requests, error: BaseException) -> None:
    for _, receiver in requests:
        if not receiver.done():
            receiver.set_exception(error)
