"""From the stream to the store, without ever holding up the stream.

Knows threads, a queue and time. Knows no SQL and no file: it has a sink (the store) and a spool.

A trace is **acknowledged** once it is committed to the store, or, when the store fails or takes longer than
``patience``, once it is on the disk in the spool. What is acknowledged survives ``kill -9``. What is not is lost with
the process, so a server waits for the acknowledgement (``record``, one second at most) before it says ``[DONE]``.
"""

import asyncio
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import structlog

from midcourse.guard.trace import Trace
from midcourse.server.background import Rarely, in_background
from midcourse.server.errors import StoreError
from midcourse.server.metrics import TRACE_QUEUE, TRACES
from midcourse.server.rows import RecordError, line
from midcourse.server.sink import Door, Sink
from midcourse.server.spool import Replayed, Spool

Fate = Literal["stored", "spooled", "dropped"]

BATCH = 256  # traces in one transaction: a commit costs about as much as 20 rows, so more gains little
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0)  # after a failure of the store; the last one from then on
_log = structlog.get_logger(__name__)


class _Waiting(NamedTuple):
    trace: Trace
    done: Future[Fate]


class TraceWriter:
    """The one writer of a process: a bounded queue, a thread, group commit.

    Args:
        open_sink: opens the store, e.g. ``partial(open_store, url)``. Called off the stream, and again after a failure:
            a server starts while its store is down.
        spool: directory of the spool files. What earlier processes left there is replayed.
        queue_size: unacknowledged traces at most. 10,000 of 10 kB are 100 MB, as much as a server may hoard.
        sample_rate: share of the traces without an intervention that are ``wanted``.
        patience: seconds that a commit may take before the batch goes to the spool as well.
        replay_seconds: between two looks into the spool.
    """

    def __init__(
        self,
        open_sink: Callable[[], Sink],
        spool: Path,
        *,
        queue_size: int = 10_000,
        sample_rate: float = 0.0,
        patience: float = 0.5,
        replay_seconds: float = 5.0,
    ) -> None:
        self._size, self._share = queue_size, sample_rate
        self._patience, self._replay_seconds = patience, replay_seconds
        self._door, self._spool = Door(open_sink), Spool(spool)
        self._ready = threading.Condition()
        self._eventful: deque[_Waiting] = deque()
        self._sampled: deque[_Waiting] = deque()  # the first to go when the queue is full
        self._closing = self._stuck = False
        self._rarely = Rarely()
        # The thread's own, from here on.
        self._slow: Future[None] | None = None  # a commit that outlived our patience
        self._replaying: Future[Replayed] | None = None
        self._failures = 0
        self._next_try = self._next_replay = 0.0
        self._thread = threading.Thread(target=self._run, name="midcourse-traces", daemon=True)
        self._thread.start()

    def wanted(self, trace: Trace) -> bool:
        """Whether to keep it: always if something happened in it, otherwise by lot, the same for the same id."""
        if _eventful(trace):
            return True
        draw = int.from_bytes(hashlib.sha256(trace.id.encode("utf-8", "replace")).digest()[:8])
        return draw < self._share * 2**64

    def submit(self, trace: Trace) -> Future[Fate]:
        """Hand it over; the future says what became of it. Takes microseconds, never raises, cannot be cancelled."""
        waiting = _Waiting(trace, Future())
        waiting.done.set_running_or_notify_cancel()  # a waiter that gives up does not take the trace with it
        dropped: _Waiting | None = None
        with self._ready:
            if self._closing:
                dropped = waiting
            else:
                (self._eventful if _eventful(trace) else self._sampled).append(waiting)
                if self._length() > self._size:
                    dropped = (self._sampled or self._eventful).popleft()
            TRACE_QUEUE.set(self._length())
            self._ready.notify()
        if dropped is not None:
            self._drop([dropped], "the queue is full, or the writer closed")
        return waiting.done

    async def record(self, trace: Trace, seconds: float = 1.0) -> Fate | None:
        """Submit, and wait for the acknowledgement; None if it has not come in time (it may still)."""
        done = asyncio.wrap_future(self.submit(trace))
        await asyncio.wait({done}, timeout=seconds)
        return done.result() if done.done() else None

    def close(self, seconds: float = 10.0) -> None:
        """Take no more, write what is waiting, stop. What the store does not take in time goes to the spool."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join(seconds)
        with self._ready:
            left = self._take(self._length())
        self._drop(left, "the writer was closed before they could be written")

    def _run(self) -> None:
        tick = min(1.0, self._replay_seconds)
        while True:
            with self._ready:
                # Neither the store nor the spool takes anything: knocking once a tick is enough.
                self._ready.wait_for(lambda: self._closing or (not self._stuck and self._length() > 0), timeout=tick)
                closing = self._closing
                batch = self._take(BATCH)
            left = self._write(batch)
            with self._ready:
                self._stuck = bool(left)
                self._eventful.extendleft(reversed(left))
                TRACE_QUEUE.set(self._length())
            if closing and (self._stuck or not batch):
                break
            if not closing:
                self._mend()
        running: list[Future[Any]] = [future for future in (self._slow, self._replaying) if future is not None]
        if not wait(running, timeout=self._patience).not_done:  # else it ends with the process; nothing is lost by that
            self._door.close()
        self._spool.seal()

    def _length(self) -> int:
        return len(self._eventful) + len(self._sampled)

    def _take(self, most: int) -> list[_Waiting]:
        taken: list[_Waiting] = []
        for queue in (self._eventful, self._sampled):
            while queue and len(taken) < most:
                taken.append(queue.popleft())
        return taken

    def _write(self, batch: list[_Waiting]) -> list[_Waiting]:
        """To the store, or else to the spool. Returns what went nowhere."""
        if not batch:
            return []
        if self._store_is_open() and self._commit([waiting.trace for waiting in batch]):
            _acknowledge(batch, "stored")
            return []
        lines, good = [], []
        for waiting in batch:
            try:
                lines.append(line(waiting.trace))
                good.append(waiting)
            except RecordError as error:
                self._drop([waiting], str(error))
        try:
            self._spool.append(lines)
        except StoreError as error:
            self._rarely("the trace spool failed; traces wait in memory", error=str(error))
            return good
        _acknowledge(good, "spooled")
        return []

    def _store_is_open(self) -> bool:
        """False while it is slow, or was just down."""
        if self._slow is not None:
            if not self._slow.done():
                return False
            slow, self._slow = self._slow, None
            self._note(slow.exception())
        return time.monotonic() >= self._next_try

    def _commit(self, traces: list[Trace]) -> bool:
        commit = in_background(partial(self._door.put, traces), "midcourse-store")
        if wait([commit], timeout=self._patience).not_done:
            self._slow = commit
            self._rarely("the trace store is slow; traces go to the spool", patience=self._patience)
            return False
        self._note(commit.exception())
        return commit.exception() is None

    def _note(self, error: BaseException | None) -> None:
        """Learn from how the store did."""
        if error is None:
            self._failures, self._next_try = 0, 0.0
        elif not isinstance(error, RecordError):  # that is the trace's fault: the replay will find out which
            pause = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
            self._failures, self._next_try = self._failures + 1, time.monotonic() + pause
            self._rarely("the trace store failed; traces go to the spool", error=str(error))

    def _mend(self) -> None:
        """Bring the spool home, beside the daily work."""
        if self._replaying is not None:
            if not self._replaying.done():
                return
            replaying, self._replaying = self._replaying, None
            self._note(replaying.exception())
            if replaying.exception() is None:
                self._tell(replaying.result())
        now = time.monotonic()
        if now >= self._next_replay and self._store_is_open() and self._spool.files():
            self._next_replay = now + self._replay_seconds
            self._replaying = in_background(self._replay, "midcourse-replay")

    def _replay(self) -> Replayed:
        self._door.check()
        self._spool.seal()
        return self._spool.replay(self._door.put)

    def _tell(self, replayed: Replayed) -> None:
        for fate, count in (("replayed", replayed.traces), ("dropped", replayed.torn), ("rejected", replayed.rejected)):
            TRACES.labels(fate).inc(count)
        if any(replayed):
            _log.info("the trace spool was replayed", **replayed._asdict())

    def _drop(self, batch: list[_Waiting], why: str) -> None:
        if batch:
            self._rarely("traces were dropped", why=why, count=len(batch))
            _acknowledge(batch, "dropped")


def _eventful(trace: Trace) -> bool:
    """Something happened from which the operator, or the model, can learn."""
    return bool(trace.interventions) or trace.outcome in ("failed", "refused", "ended")


def _acknowledge(batch: list[_Waiting], fate: Fate) -> None:
    TRACES.labels(fate).inc(len(batch))
    for waiting in batch:
        waiting.done.set_result(fate)
