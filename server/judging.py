"""Runs the judge off the event loop: steps of all streams in micro-batches, each with a deadline.

Knows threads and the clock. Refuses to know what a failure means: it raises ``JudgeError``, and the policy decides.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from midcourse.guard.trace import JudgeFailure
from midcourse.guard.verdict import Judge, Query, Verdict
from midcourse.server.errors import JudgeError
from midcourse.server.metrics import JUDGE_BATCH, JUDGE_SECONDS

_Waiting = tuple[Query, "asyncio.Future[Verdict]"]


class JudgeRunner:
    """One judge, shared by all streams of one event loop.

    While a batch is judged the next one gathers, so batches grow with the load and nobody waits for company.

    Args:
        judge: called in a thread of its own, one call at a time.
        max_batch: steps in one call at most. 64 steps of 256 tokens are what a small encoder does in well under a
            second on two cores; more would let one batch eat the deadline of the next.
        max_waiting: beyond this many steps in the queue a new one fails at once, which bounds memory and waiting.
    """

    def __init__(self, judge: Judge, *, max_batch: int = 64, max_waiting: int = 4096) -> None:
        self.judge = judge
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: list[_Waiting] = []
        self._worker: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="judge")

    async def verdict(self, query: Query, deadline: float) -> Verdict:
        """The verdict on one step.

        Args:
            deadline: seconds from now.

        Raises:
            JudgeError: with ``failure`` set to error, deadline or overflow.
        """
        if len(self._waiting) >= self._max_waiting:
            raise JudgeFailed("overflow", f"{len(self._waiting)} steps are waiting for the judge")
        began = time.perf_counter()
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="judge")
        try:
            return await asyncio.wait_for(future, deadline)
        except TimeoutError as error:
            raise JudgeFailed("deadline", f"no verdict within {deadline} s") from error
        finally:
            JUDGE_SECONDS.observe(time.perf_counter() - began)

    async def close(self) -> None:
        """Stop; whoever waits gets an error."""
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        for _, future in self._waiting:
            _fail(future, JudgeFailed("error", "the judge was shut down"))
        self._waiting.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [(query, future) for query, future in self._waiting[: self._max_batch] if not future.done()]
            del self._waiting[: self._max_batch]
            if not batch:
                continue
            JUDGE_BATCH.observe(len(batch))
            queries = [query for query, _ in batch]
            try:
                verdicts = await loop.run_in_executor(self._threads, self._ask, queries)
            except JudgeError as error:
                for _, future in batch:
                    _fail(future, error)
                continue
            for (_, future), verdict in zip(batch, verdicts, strict=True):
                if not future.done():
                    future.set_result(verdict)

    def _ask(self, queries: Sequence[Query]) -> Sequence[Verdict]:
        try:
            verdicts = self.judge.judge(queries)
        except Exception as error:  # whatever a judge raises is a judge failure: repaired by the policy, and counted
            raise JudgeFailed("error", f"{self.judge.name}: {type(error).__name__}: {error}") from error
        if len(verdicts) != len(queries):
            raise JudgeFailed("error", f"{self.judge.name}: {len(verdicts)} verdicts for {len(queries)} steps")
        return verdicts


class JudgeFailed(JudgeError):
    """A judge failure with its kind."""

    def __init__(self, failure: JudgeFailure, message: str) -> None:
        super().__init__(message)
        self.failure: JudgeFailure = failure


def _fail(future: "asyncio.Future[Verdict]", error: JudgeError) -> None:
    if not future.done():
        future.set_exception(error)
