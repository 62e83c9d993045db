"""Answers `/v1/predict`.

A few rows for the live version are scored at once, together with those of other requests. All else takes a task or a
thread, so that nobody waits for it.
"""

import asyncio
import time
from asyncio import to_thread
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from champion.environments import Serving
from champion.serving import metrics
from champion.serving.admission import Admission
from champion.serving.batching import Batcher, Scores
from champion.serving.exchange import Exchange
from champion.serving.explainer import Explainer, busy
from champion.serving.live_model import LiveModel, OpenVersion
from champion.serving.problems import MEDIA_TYPE, Problem, as_problem, check_size, check_type
from champion.serving.recorder import Recorder
from champion.serving.routing import Router, fallback
from champion.serving.schema import Answer, FlagChoice, Prediction, encode, read_most, read_rows
from champion.serving.scoring import Read, count_emptied, in_scope, predictions, read_each, score

# More rows than these are scored in a thread, so that other requests need not wait.
FEW_ROWS = 20


class Predictor:
    """Answers the exchanges of one worker. `model` is replaced when the state changes."""

    def __init__(
        self,
        model: LiveModel,
        settings: Serving,
        router: Router,
        admission: Admission,
        counts: metrics.Buffer,
        recorder: Recorder | None = None,
    ) -> None:
        self.model = model
        self._router = router
        self._admission = admission
        self._counts = counts
        self._recorder = recorder
        self._max_bytes, self._max_rows = settings.max_body_kb * 1024, settings.max_rows
        self._batcher = Batcher()
        self._explainer = Explainer()
        self._tasks: set[asyncio.Task[None]] = set()
        self._answered = 0
        self._ok = metrics.REQUESTS.labels("200")

    def begin(self, exchange: Exchange) -> None:
        """Look at a request's headers, and refuse it if they are enough for that."""
        headers = exchange.headers
        try:
            _check_method(exchange.method)
            self._admission.admit(headers, self.model.keys)
            check_type(headers)
            # The parser has refused a length that is no number.
            check_size(int(headers.get(b"content-length", b"0")), self._max_bytes)
            if self._recorder is not None:
                self._recorder.check_room()
        except Exception as error:
            self.refuse(exchange, error)

    def go_on(self, exchange: Exchange) -> None:
        """Answer a request whose body is whole, and refuse one that grows too large."""
        try:
            check_size(len(exchange.body), self._max_bytes)
            if exchange.is_whole:
                self._predict(exchange)
        except Exception as error:
            self.refuse(exchange, error)

    def _predict(self, exchange: Exchange) -> None:
        model = self.model
        rows, user_id = read_rows(exchange.body, self._max_rows)
        version, choice = self._router.choose(model, user_id)
        question = _Question(self, exchange, model, rows, user_id, choice)
        if exchange.query:
            question.most_reasons = read_most(exchange.query, len(version.features))
        if version is not model.live:
            self._start(exchange, self._ask_challenger(question, version))
        elif len(rows) <= FEW_ROWS:
            self._ask_live(question)
        else:
            self._start(exchange, self._ask_live_in_thread(question))

    def _ask_live(self, question: "_Question") -> None:
        live = question.model.live
        question.read = read_each(live, question.rows)
        self._batcher.ask(live.scorer, in_scope(question.read), question)

    async def _ask_live_in_thread(self, question: "_Question") -> None:
        live = question.model.live
        question.read, scores = await to_thread(score, live, question.rows)
        self.answer(question, live, predictions(live, question.read, scores))

    async def _ask_challenger(self, question: "_Question", version: OpenVersion) -> None:
        """Let the challenger answer; when it cannot, the live version."""
        few = len(question.rows) <= FEW_ROWS
        try:
            read = read_each(version, question.rows) if few else await to_thread(read_each, version, question.rows)
        except Problem:
            # The live version says what is wrong with the rows.
            scores = None
        else:
            scores = await self._router.ask_challenger(version, in_scope(read))
        if scores is not None:
            question.read = read
            self.answer(question, version, predictions(version, read, scores))
            return
        await self._fall_back(question)

    async def _fall_back(self, question: "_Question") -> None:
        """Let the live version answer in place of a challenger."""
        question.choice = None if question.choice is None else fallback(question.choice.key)
        if len(question.rows) <= FEW_ROWS:
            self._ask_live(question)
        else:
            await self._ask_live_in_thread(question)

    def answer(self, question: "_Question", version: OpenVersion, answered: list[Prediction]) -> None:
        """Send the version's answer, with its reasons if they are asked for."""
        if question.most_reasons:
            self._start(question.exchange, self._explain(question, version, answered))
        else:
            self._send(question, version, answered)

    async def _explain(self, question: "_Question", version: OpenVersion, answered: list[Prediction]) -> None:
        is_live = version is question.model.live
        explainer = self._explainer if is_live else self._router.explainer(version)
        try:
            reasons = await explainer.explain(
                version, question.rows, question.read, question.most_reasons, question.is_open
            )
        except Problem:
            raise
        except Exception as error:
            is_slow = isinstance(error, TimeoutError)
            if not is_live:
                self._router.count_failure(version, "slow" if is_slow else "error")
                await self._fall_back(question)
                return
            if is_slow:
                raise busy() from None
            raise
        for one, found in zip(answered, reasons, strict=True):
            one.reasons = found
        self._send(question, version, answered)

    def _send(self, question: "_Question", version: OpenVersion, answered: list[Prediction]) -> None:
        """Send the answer, and measure it."""
        exchange = question.exchange
        if exchange.disconnected:
            # Nobody gets this answer, so it is neither logged nor counted.
            return
        if self._recorder is not None:
            self._recorder.keep(
                exchange.request_id, question.user_id, version, question.choice, question.rows, answered
            )
        exchange.answer(encode(Answer(exchange.request_id, version.name, question.choice, answered)))
        self._counts.add(self._ok)
        self._counts.add(version.rows, len(answered))
        count_emptied(answered, self._counts)
        self._answered += 1
        if self._answered % metrics.MEASURED == 0:
            metrics.SECONDS.observe(time.perf_counter() - exchange.started)
        if question.model.shadow is not None:
            self._router.ask_shadow(question.model.shadow, question.rows, answered)

    def refuse(self, exchange: Exchange, error: BaseException) -> None:
        """Answer that the request failed."""
        problem = as_problem(error, exchange.request_id)
        exchange.answer(problem.body(exchange.request_id), problem.status, MEDIA_TYPE, problem.headers)
        metrics.REQUESTS.labels(str(problem.status.value)).inc()

    def _start(self, exchange: Exchange, asked: Coroutine[Any, Any, None]) -> None:
        async def guard() -> None:
            try:
                await asked
            except Exception as error:
                self.refuse(exchange, error)

        task = asyncio.get_running_loop().create_task(guard())
        # The loop itself keeps only weak references.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@dataclass(slots=True, eq=False)
class _Question:
    """The rows of a request, which receive the live version's scores.

    One model answers them all, whatever is switched meanwhile.
    """

    predictor: Predictor
    exchange: Exchange
    model: LiveModel
    rows: list[dict[str, Any]]
    user_id: str | None
    choice: FlagChoice | None
    # What the version that answers reads in the rows.
    read: Sequence[Read] = ()
    # How many reasons each row gets at most.
    most_reasons: int = 0

    def done(self) -> bool:
        return self.exchange.disconnected

    def is_open(self) -> bool:
        """Whether the client still waits for an answer."""
        return not (self.exchange.disconnected or self.exchange.response_started)

    def set_result(self, scores: Scores) -> None:
        live = self.model.live
        try:
            self.predictor.answer(self, live, predictions(live, self.read, scores))
        except Exception as error:
            self.set_exception(error)

    def set_exception(self, error: BaseException) -> None:
        self.predictor.refuse(self.exchange, error)


def _check_method(method: bytes) -> None:
    if method != b"POST":
        raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "Use POST.", headers={b"allow": b"POST"})
